import httpx
import pytest

from cluster.cli.remote_gateway import RemoteGateway, ask
from pipeline.errors import ServiceError
from pipeline.schemas import PredictOptions

OPTIONS = PredictOptions()


def client(handler: object) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(handler))


def test_error_holds_detail_status_and_id_of_refusal() -> None:
    problem = {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "no valid key",
        "code": "unauthorized",
        "request_id": "r-1",
    }
    remote = RemoteGateway("https://gateway", "secret", None)
    with (
        client(lambda request: httpx.Response(401, json=problem)) as http,
        pytest.raises(ServiceError, match=r"no valid key \(HTTP 401, r-1\)") as caught,
    ):
        ask(http, remote, b"x", OPTIONS)
    assert "secret" not in str(caught.value)


def test_answer_that_is_no_prediction_is_refused() -> None:
    remote = RemoteGateway("https://gateway", "secret", None)
    with (
        client(lambda request: httpx.Response(200, text="<html>")) as http,
        pytest.raises(ServiceError, match="not a prediction"),
    ):
        ask(http, remote, b"x", OPTIONS)
