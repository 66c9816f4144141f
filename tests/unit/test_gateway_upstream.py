import asyncio
import itertools
import json
import ssl

import httpx
import pytest

from gateway.proxy import upstream as module
from gateway.proxy.errors import BrokenOff, NotReady, UpstreamFault
from gateway.proxy.upstream import Upstream
from pipeline.errors import (
    BrokenImage,
    DeadlineExceeded,
    LesionserveError,
    Overloaded,
    Unavailable,
)
from pipeline.schemas import ImageInfo, PredictOptions, Problem

INFO = ImageInfo(width=10, height=10, format="PNG")


def upstream(handler, deadline_s: float = 30) -> Upstream:
    transport = httpx.MockTransport(handler)
    return Upstream(httpx.AsyncClient(base_url="http://up", transport=transport), deadline_s)


async def outcome(handler, deadline_s: float = 30) -> LesionserveError:
    with pytest.raises(LesionserveError) as raised:
        await upstream(handler, deadline_s).predict(b"image", INFO, PredictOptions(), "id")
    return raised.value


def raising(error: Exception, cause: Exception | None = None):
    def handler(request):
        raise error from cause

    return handler


def answering(status: int, code: str = "", **headers: str):
    told = Problem(title="t", status=status, detail="d", code=code, request_id="r")
    body = told.model_dump_json() if code else "<html>"
    return lambda request: httpx.Response(status, text=body, headers=headers)


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (raising(httpx.ConnectError("refused")), Unavailable),
        (raising(httpx.ConnectTimeout("slow")), Unavailable),
        (raising(httpx.ReadError("reset")), BrokenOff),
        (raising(httpx.RemoteProtocolError("gone without sending a response")), BrokenOff),
        (raising(httpx.RemoteProtocolError("illegal status line")), UpstreamFault),
        (raising(httpx.ConnectError("bad"), ssl.SSLCertVerificationError("bad")), UpstreamFault),
        (raising(httpx.PoolTimeout("full")), Overloaded),
        (raising(httpx.DecodingError("not gzip")), UpstreamFault),
        (raising(TimeoutError()), DeadlineExceeded),
        (answering(422, "broken_image"), BrokenImage),
        (answering(503, "overloaded"), Overloaded),
        (answering(503, "unavailable"), Unavailable),
        (answering(503), Overloaded),
        (answering(429), Overloaded),
        (answering(500), BrokenOff),
        (answering(502), BrokenOff),
        (answering(408), DeadlineExceeded),
        (answering(504, "deadline_exceeded"), DeadlineExceeded),
        (answering(500, "prediction_failed"), UpstreamFault),
        (answering(401, "unauthorized"), UpstreamFault),
        (answering(404), UpstreamFault),
        (answering(302, location="http://evil"), UpstreamFault),
    ],
)  # fmt: skip
async def test_every_failure_of_the_ingress_is_one_of_our_errors(handler, error):
    assert type(await outcome(handler)) is error


@pytest.mark.parametrize(
    ("first", "times"),
    [
        (answering(500), 2),
        (raising(httpx.ReadError("reset")), 2),
        (answering(503, "unavailable"), 1),
        (answering(500, "prediction_failed"), 1),
        (raising(httpx.ConnectError("refused")), 1),
        (raising(httpx.ReadError("alert"), ssl.SSLError("bad")), 1),
    ],
)
async def test_only_an_ingress_that_was_lost_with_the_request_is_asked_again_and_once(first, times):
    asked = []

    async def handler(request):
        asked.append(int(request.headers["x-deadline-ms"]))
        await asyncio.sleep(0.01)
        return first(request)

    await outcome(handler)
    assert len(asked) == times
    # Both within one deadline: what the first took is gone for the second.
    assert all(second <= first - 10 for first, second in itertools.pairwise(asked))


async def test_a_request_that_is_asked_again_is_answered():
    given = [answering(500), answering(422, "broken_image")]
    assert isinstance(await outcome(lambda request: given.pop(0)(request)), BrokenImage)


async def test_an_ingress_that_gives_up_at_its_deadline_is_still_heard():
    async def handler(request):
        await asyncio.sleep(int(request.headers["X-Deadline-Ms"]) / 1000)
        return answering(503, "unavailable")(request)

    assert type(await outcome(handler, deadline_s=2)) is Unavailable


@pytest.mark.parametrize(("deadline_s", "told"), [(30, "29000"), (600, "599000"), (0.2, "180")])
async def test_the_ingress_has_a_little_less_time_than_the_gateway(deadline_s, told):
    sent = []

    def handler(request):
        sent.append(request.headers["X-Deadline-Ms"])
        return httpx.Response(404)

    await outcome(handler, deadline_s)
    assert sent == [told]


async def test_an_endless_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(module, "_MAX_ANSWER_BYTES", 1000)
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 100
            yield b" " * 100

    error = await outcome(lambda request: httpx.Response(200, content=endless()))
    assert isinstance(error, UpstreamFault)
    assert sent == 1100


async def test_ready_names_the_model():
    def handler(request):
        body = {"status": "ready"}
        if request.url.path == "/model":
            body = {"name": "demo", "version": "1", "classes": ["a"]}
        return httpx.Response(200, text=json.dumps(body))

    manifest = await upstream(handler).ready()
    assert (manifest.name, manifest.version) == ("demo", "1")


@pytest.mark.parametrize(
    "handler",
    [answering(503, "unavailable"), answering(200), raising(httpx.ConnectError("refused"))],
)
async def test_a_model_that_does_not_answer_is_not_ready(handler):
    with pytest.raises(NotReady):
        await upstream(handler).ready()


async def test_the_client_trusts_only_the_authority_it_is_given(tmp_path):
    nobody = tmp_path / "ca.pem"
    nobody.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        Upstream.connect("https://up", "token", deadline_s=1, ca=nobody)


async def test_the_client_takes_nothing_from_the_environment(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    upstream = Upstream.connect("http://up", "token", deadline_s=1)
    assert upstream._client.trust_env is False
    await upstream.close()
