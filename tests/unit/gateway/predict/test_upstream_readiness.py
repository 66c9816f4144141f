import asyncio
import json

import httpx
import pytest

from gateway.errors import (
    NotReady,
)
from gateway.predict import upstream as module
from tests.unit.gateway.predict.wire import (
    answering,
    raising,
    upstream,
)


async def test_ready_upstream_names_its_model():
    def handler(request):
        body = {"status": "ready"}
        if request.url.path == "/model":
            body = {"name": "demo", "version": "1", "digest": "d" * 64, "classes": ["a"]}
        return httpx.Response(200, text=json.dumps(body))

    manifest = await upstream(handler).ready()
    assert (manifest.name, manifest.version) == ("demo", "1")
    assert manifest.bundle_sha256 == "d" * 64


async def test_concurrent_readiness_checks_share_one_call():
    asked = []

    async def handler(request):
        asked.append(request)
        await asyncio.sleep(0.01)
        return httpx.Response(503)

    ingress = upstream(handler)
    for _ in range(2):
        errors = await asyncio.gather(*(ingress.ready() for _ in range(50)), return_exceptions=True)
        assert {type(error) for error in errors} == {NotReady}
    assert len(asked) == 1


@pytest.mark.parametrize(
    "handler",
    [answering(503, "unavailable"), answering(200), raising(httpx.ConnectError("refused"))],
)
async def test_ingress_without_valid_model_is_not_ready(handler):
    with pytest.raises(NotReady):
        await upstream(handler).ready()


async def test_ready_asks_for_readiness_and_model():
    requests: list[tuple[str, str]] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append((request.method, request.url.path))
        return httpx.Response(200, json={"name": "a", "version": "1", "digest": "d" * 64})

    assert (await upstream(handler).ready()).bundle_sha256 == "d" * 64
    assert requests == [("GET", "/readyz"), ("GET", "/model")]


async def test_ready_gives_up_on_silent_ingress(monkeypatch):
    async def handler(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(module, "_READY_S", 0.01)
    with pytest.raises(NotReady, match="cannot be reached"):
        await upstream(handler).ready()
