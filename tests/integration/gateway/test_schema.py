"""Requests made from the OpenAPI documents, well and badly formed: every answer is one that the
document foretells, and never a fault of ours."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

from pipeline.schemas import Prediction, PredictOptions, Problem
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway
from tests.integration.gateway.servers import serving
from tests.integration.gateway.test_hop import Graph, real

TOKEN = "t" * 32
PROBLEM = {"content": {"application/problem+json": {"schema": Problem.model_json_schema()}}}
EXAMPLES = settings(
    max_examples=25,
    derandomize=True,  # the same in every run; `make test-faults` has the open end
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def of_the_gateway(gateway: Gateway) -> Any:
    url = f"http://localhost:{gateway.port}"
    return schemathesis.openapi.from_url(f"{url}/openapi.json", headers={"Host": "localhost"})


@pytest.fixture
def all_scopes(transactional_db: None) -> dict[str, str]:
    return {"X-API-Key": str(issue_key(scopes=["predict", "usage:read", "feedback"])[1])}


def ingress_openapi() -> dict[str, Any]:
    """The ingress's contract in OpenAPI: it documents itself nowhere, being the gateway's alone."""
    options = PredictOptions.model_json_schema()["properties"]
    refusals = dict.fromkeys(("400", "401", "405", "411", "413", "415", "422", "503"), PROBLEM)
    answer = {"content": {"application/json": {"schema": Prediction.model_json_schema()}}}
    plain = {"content": {"application/json": {"schema": {"type": "object"}}}}
    image = {"schema": {"type": "string", "format": "binary"}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "ingress", "version": "1"},
        "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "paths": {
            "/predict": {
                "post": {
                    "security": [{"token": []}],
                    "parameters": [
                        {"in": "query", "name": name, "schema": schema}
                        for name, schema in options.items()
                    ]
                    + [
                        {
                            "in": "header",
                            "name": "X-Deadline-Ms",
                            "schema": {"type": "string", "pattern": "^[1-9][0-9]{3,8}$"},
                        }
                    ],
                    "requestBody": {"content": {"image/jpeg": image, "image/png": image}},
                    "responses": {"200": answer, **refusals},
                }
            },
            "/model": {
                "get": {"security": [{"token": []}], "responses": {"200": plain, **refusals}}
            },
            "/readyz": {"get": {"responses": {"200": plain, **refusals}}},
            "/healthz": {"get": {"responses": {"200": plain, **refusals}}},
        },
    }


@pytest.fixture
def of_the_ingress() -> Iterator[Any]:
    with serving(real(Graph(), TOKEN), lifespan="off") as port:
        schema = schemathesis.openapi.from_dict(ingress_openapi())
        schema.config.update(base_url=f"http://127.0.0.1:{port}")
        yield schema


def modes(operation: Any) -> list[GenerationMode]:
    """Badly formed requests too, where there is anything to form."""
    inputs = (operation.path_parameters, operation.query, operation.headers, operation.body)
    return list(GenerationMode) if any(map(len, inputs)) else [GenerationMode.POSITIVE]


def ask_for_everything(schema: Any, headers: dict[str, str]) -> list[str]:
    """Many requests to each operation of the document; the operations that there were.

    What is well formed for the schema may still be no image or no known record, so that not all
    of it need be accepted.
    """
    operations = [result.ok() for result in schema.get_all_operations()]
    for operation in operations:
        for mode in modes(operation):

            @EXAMPLES
            @given(case=operation.as_strategy(mode))
            def ask(case: Any) -> None:
                case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

            ask()
    return [operation.label for operation in operations]


def test_gateway_conforms_to_its_openapi_document(of_the_gateway, all_scopes) -> None:
    asked = ask_for_everything(of_the_gateway, all_scopes)
    assert set(asked) == {
        "POST /predict/",
        "GET /usage/",
        "GET /records/{request_id}",
        "POST /records/{request_id}/feedback",
        "GET /records/{request_id}/feedback",
        "GET /records/{request_id}/report.pdf",
        "GET /records/feedback",
        "GET /healthz",
        "GET /readyz",
    }


def test_ingress_conforms_to_its_contract(of_the_ingress) -> None:
    asked = ask_for_everything(of_the_ingress, {"Authorization": f"Bearer {TOKEN}"})
    assert len(asked) == 4
