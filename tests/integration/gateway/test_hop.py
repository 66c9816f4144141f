"""The gateway against the ingress's own routes, over a graph that is a fake.

What the fake ingress of the other tests says is held to this.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from pipeline.errors import BrokenImage, LesionserveError, Overloaded, PredictionFailed, Unavailable
from pipeline.schemas import PredictOptions
from tests.integration.gateway.client import Gateway, form, jpeg, part
from tests.integration.gateway.ingress import DIGEST, prediction
from tests.integration.gateway.records import assert_problem, assert_refused, the_record
from tests.integration.gateway.servers import running_gateway, serving

routes = pytest.importorskip("serve_app.routes", reason="the serve extra is not installed")

from serve_app.tokens import Tokens  # noqa: E402
from tests.unit.serve_app.test_stages import app_args  # noqa: E402


class Graph:
    def __init__(self) -> None:
        self.error: LesionserveError | None = None
        self.calls: list[tuple[bytes, PredictOptions, str | None]] = []

    async def predict(
        self, request_id: str, data: bytes, options: PredictOptions, correlation_id: str | None
    ) -> bytes:
        self.calls.append((data, options, correlation_id))
        if self.error:
            raise self.error
        return json.dumps(prediction(request_id, data, options, correlation_id)).encode()

    async def manifest(self) -> dict[str, Any]:
        if self.error:
            raise self.error
        return {"name": "fake", "version": "7", "digest": DIGEST, "class_names": ["LSIL", "HSIL"]}


@pytest.fixture
def graph() -> Graph:
    return Graph()


def real(graph: Graph, *tokens: str) -> Any:
    return routes.Routes(graph, Tokens(*tokens), app_args()).app()


@pytest.fixture
def hop(graph: Graph, transactional_db: None) -> Iterator[Gateway]:
    with (
        serving(real(graph, settings.SERVICE_TOKEN), lifespan="off") as port,
        running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{port}") as gateway,
    ):
        yield gateway


def test_image_and_options_reach_ingress_and_return(hop, graph, key):
    image = jpeg()
    header = "X-Correlation-Id: case-7"
    query = "?masks=polygon&score_threshold=0.1"
    response = hop.predict(form(part(image)), key, header, query=query)
    options = PredictOptions(masks="polygon", score_threshold=0.1)
    request_id = response.headers["X-Request-ID"]
    assert response.json() == prediction(request_id, image, options, "case-7")
    assert graph.calls == [(image, options, "case-7")]
    assert the_record().state == "succeeded"


@pytest.mark.parametrize(
    ("error", "status", "code", "state"),
    [
        (BrokenImage("Cut off."), 422, "broken_image", "rejected"),
        (Overloaded("Full."), 503, "overloaded", "shed"),
        (Unavailable("Nobody."), 503, "unavailable", "failed"),
        (PredictionFailed("Bad luck."), 502, "upstream_fault", "failed"),
    ],
)
def test_refusals_of_ingress_are_relayed(hop, graph, key, error, status, code, state):
    graph.error = error
    assert_refused(hop.predict(form(part(jpeg())), key), status, code, state)


def test_gateway_is_ready_when_model_is(hop, graph):
    assert hop.get("/readyz").json()["model"] == {
        "name": "fake",
        "version": "7",
        "bundle_sha256": DIGEST,
    }


def test_gateway_without_loaded_model_is_not_ready(hop, graph):
    graph.error = Unavailable("Not loaded.")
    assert_problem(hop.get("/readyz"), 503, "not_ready")


def test_unknown_service_token_is_upstream_fault(graph, key):
    with (
        serving(real(graph, "a service token of another service"), lifespan="off") as port,
        running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{port}") as gateway,
    ):
        response = gateway.predict(form(part(jpeg())), key)
    assert_refused(response, 502, "upstream_fault", "failed")
    assert graph.calls == []
