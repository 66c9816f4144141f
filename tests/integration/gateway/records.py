import time
from typing import Any

from gateway.audit.models import Record
from pipeline.schemas import Problem
from tests.integration.gateway.client import Response


def the_record() -> Record:
    """The one row that there is."""
    (record,) = Record.objects.all()
    return record


def the_final_record() -> Record:
    """The one row, once it has left `received`: nothing tells a client that has left."""
    for _ in range(3000):
        if Record.objects.exclude(state="received").exists():
            return the_record()
        time.sleep(0.01)
    raise AssertionError("the record never became final")


def assert_refused(response: Response, status: int, code: str, state: str = "rejected") -> Any:
    """The answer is a problem of this kind, and there is exactly one row that says so."""
    problem = assert_problem(response, status, code)
    record = the_record()
    assert str(record.request_id) == problem["request_id"]
    assert (record.state, record.status, record.error_code) == (state, status, code)
    assert record.finished_at is not None
    return problem


def assert_problem(response: Response, status: int, code: str) -> Any:
    assert response.status == status, response.body
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    problem = response.json()
    assert Problem.model_validate(problem)
    assert (problem["status"], problem["code"]) == (status, code)
    assert response.headers["X-Request-ID"] == problem["request_id"]
    return problem
