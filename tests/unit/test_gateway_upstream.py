import asyncio
import itertools
import json
import ssl
import time

import httpx
import pytest

from gateway.errors import BrokenOff, Distrusted, NotReady, UpstreamFault
from gateway.proxy import upstream as module
from gateway.proxy.upstream import Answer, Upstream
from pipeline.errors import (
    BrokenImage,
    DeadlineExceeded,
    LesionserveError,
    Overloaded,
    Poison,
    Unavailable,
)
from pipeline.schemas import ImageInfo, PredictOptions, Problem

INFO = ImageInfo(width=10, height=10, format="PNG")


def upstream(handler, deadline_s: float = 30) -> Upstream:
    transport = httpx.MockTransport(handler)
    return Upstream(httpx.AsyncClient(base_url="http://up", transport=transport), deadline_s)


async def ask(one: Upstream, attempts: list[int] | None = None) -> Answer:
    note = (attempts if attempts is not None else []).append
    return await one.predict(b"image", INFO, PredictOptions(), "id", lambda: note(1))


async def outcome(handler, deadline_s: float = 30) -> LesionserveError:
    with pytest.raises(LesionserveError) as raised:
        await upstream(handler, deadline_s).predict(
            b"image", INFO, PredictOptions(), "id", lambda: None
        )
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
        (raising(httpx.ReadError("reset")), Poison),
        (raising(httpx.RemoteProtocolError("gone without sending a response")), Poison),
        (raising(httpx.RemoteProtocolError("illegal status line")), UpstreamFault),
        (raising(httpx.ConnectError("bad"), ssl.SSLCertVerificationError("bad")), Distrusted),
        (raising(httpx.PoolTimeout("full")), Overloaded),
        (raising(httpx.DecodingError("not gzip")), UpstreamFault),
        (raising(TimeoutError()), DeadlineExceeded),
        (answering(422, "broken_image"), BrokenImage),
        (answering(503, "overloaded"), Overloaded),
        (answering(503, "unavailable"), Unavailable),
        (answering(503), Overloaded),
        (answering(429), Overloaded),
        (answering(500), Poison),
        (answering(502), Poison),
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


async def test_every_attempt_is_told():
    attempts: list[int] = []
    with pytest.raises(Poison):
        await ask(upstream(answering(500)), attempts)
    assert len(attempts) == 2


async def test_retries_have_a_budget():
    asked = []

    def handler(request):
        asked.append(request)
        # Every other request is an answer, so that the circuit stays closed.
        return (
            answering(500)(request) if len(asked) % 3 else answering(422, "broken_image")(request)
        )

    one = upstream(handler)
    kinds = []
    for _ in range(60):
        with pytest.raises(LesionserveError) as raised:
            await ask(one)
        kinds.append(type(raised.value))
    # Ten are saved at the start and a tenth of one is earned by each request.
    assert len(asked) - 60 <= 16
    assert kinds.count(BrokenOff) > 0


async def test_an_ingress_that_is_gone_is_left_alone_for_a_while(monkeypatch):
    asked = []

    def handler(request):
        asked.append(request)
        raise httpx.ConnectError("refused")

    one = upstream(handler)
    for _ in range(20):
        with pytest.raises(Unavailable):
            await ask(one)
    assert len(asked) == 8
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 6)
    with pytest.raises(Unavailable):
        await ask(one)
    assert len(asked) == 9


async def test_refusals_leave_the_circuit_closed():
    one = upstream(answering(503, "overloaded"))
    for _ in range(20):
        with pytest.raises(Overloaded):
            await ask(one)


async def test_an_ingress_that_gives_up_at_its_deadline_is_still_heard():
    async def handler(request):
        await asyncio.sleep(int(request.headers["X-Deadline-Ms"]) / 1000)
        return answering(503, "unavailable")(request)

    assert type(await outcome(handler, deadline_s=2)) is Unavailable


@pytest.mark.parametrize(("deadline_s", "most"), [(30, 29_000), (600, 599_000), (0.2, 180)])
async def test_the_ingress_has_a_little_less_time_than_the_gateway(deadline_s, most):
    sent = []

    def handler(request):
        sent.append(int(request.headers["X-Deadline-Ms"]))
        return httpx.Response(404)

    await outcome(handler, deadline_s)
    # What has passed since the request came is gone, too.
    assert 0 < sent[0] <= most


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
