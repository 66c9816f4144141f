import json

import httpx
import pytest

from gateway.monitor.prometheus import Prometheus, PrometheusUnavailable, Series


def answering(status: int, body: bytes) -> Prometheus:
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=body))
    return Prometheus(httpx.AsyncClient(base_url="http://prometheus", transport=transport))


def vector(*values: str) -> bytes:
    result = [{"metric": {"replica": str(n)}, "value": [1.5, v]} for n, v in enumerate(values)]
    return json.dumps({"status": "success", "data": {"result": result}}).encode()


async def test_query_returns_finite_values_alone() -> None:
    prometheus = answering(200, vector("2", "NaN", "+Inf"))
    assert await prometheus.query("up") == [Series({"replica": "0"}, 2.0)]


@pytest.mark.parametrize(
    ("status", "body"), [(503, b""), (200, b"<html>"), (200, b'{"data": {"result": [{}]}}')]
)
async def test_unusable_answer_raises_unavailable(status: int, body: bytes) -> None:
    with pytest.raises(PrometheusUnavailable):
        await answering(status, body).query("up")
