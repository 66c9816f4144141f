import asyncio
import contextlib
import itertools
import ssl

import httpx
import pytest

from gateway.errors import (
    UpstreamCertificateInvalid,
    UpstreamDisconnected,
    UpstreamFault,
    UpstreamInterrupted,
    UpstreamUnreached,
)
from gateway.predict import exchange
from gateway.predict import upstream as module
from gateway.predict.upstream import Upstream, upstream_of
from pipeline.errors import (
    BrokenImage,
    DeadlineExceeded,
    LesionserveError,
    Overloaded,
    PoisonImage,
    Unavailable,
)
from pipeline.schemas import ImageInfo
from tests.integration.gateway.ingress import prediction
from tests.unit.gateway.metric_values import changes, value
from tests.unit.gateway.predict.wire import (
    BAD_CERTIFICATE,
    IMAGE,
    INFO,
    Wire,
    answering,
    ask,
    outcome,
    raising,
    upstream,
)

GZIP = {"Content-Encoding": "gzip"}


@pytest.mark.parametrize(
    ("handler", "error"),
    [
        (raising(httpx.ConnectError("refused")), Unavailable),
        (raising(httpx.ConnectTimeout("slow")), Unavailable),
        (raising(httpx.ReadError("reset")), PoisonImage),
        (raising(httpx.RemoteProtocolError("gone without sending a response")), PoisonImage),
        (raising(httpx.RemoteProtocolError("illegal status line")), UpstreamFault),
        (raising(httpx.ConnectError("bad"), BAD_CERTIFICATE), UpstreamCertificateInvalid),
        (raising(httpx.PoolTimeout("full")), Overloaded),
        (lambda request: httpx.Response(200, headers=GZIP, content=b""), UpstreamFault),
        (raising(TimeoutError()), DeadlineExceeded),
        (answering(422, "broken_image"), BrokenImage),
        (answering(503, "overloaded"), Overloaded),
        (answering(503, "unavailable"), Unavailable),
        (answering(503), Overloaded),
        (answering(429), Overloaded),
        (answering(500), PoisonImage),
        (answering(502), UpstreamInterrupted),
        (answering(502, "interrupted"), UpstreamInterrupted),
        (answering(502, "unreached"), UpstreamUnreached),
        (answering(504), DeadlineExceeded),
        (answering(408), DeadlineExceeded),
        (answering(504, "deadline_exceeded"), DeadlineExceeded),
        (answering(500, "prediction_failed"), UpstreamFault),
        (answering(401, "unauthorized"), UpstreamFault),
        (answering(404), UpstreamUnreached),
        (answering(302, location="http://evil"), UpstreamFault),
    ],
)  # fmt: skip
async def test_every_failure_of_ingress_has_its_error(handler, error):
    assert type(await outcome(handler)) is error


@pytest.mark.parametrize(
    ("handler", "counted"),
    [
        (raising(httpx.ConnectError("refused")), {"lost": 1}),
        (raising(httpx.ReadError("reset")), {"lost": 2}),
        (raising(httpx.RemoteProtocolError("illegal status line")), {"lost": 1}),
        (raising(httpx.ConnectError("bad"), BAD_CERTIFICATE), {"lost": 1}),
        (raising(TimeoutError()), {"lost": 1}),
        (raising(httpx.PoolTimeout("full")), {}),
        (answering(500), {"lost": 2}),
        (answering(502), {"lost": 2}),
        (answering(502, "unreached"), {"lost": 4}),
        (answering(503, "overloaded"), {"refused": 1}),
        (answering(503, "unavailable"), {"refused": 1}),
        (answering(422, "broken_image"), {"refused": 1}),
        (answering(404), {"lost": 4}),
        (lambda request: httpx.Response(200, text="{}"), {"refused": 1}),
    ],
)
async def test_every_attempt_counts_by_result(handler, counted):
    with changes() as changed:
        await outcome(handler)
    results = {f"upstream_seconds_count {result}": count for result, count in counted.items()}
    retries = {"retries_total": lost - 1} if (lost := counted.get("lost", 0)) > 1 else {}
    assert changed == results | retries


async def test_answer_counts_attempt_and_its_times():
    with changes() as changed:
        await ask(upstream(timed_answer))
    assert changed == {
        "upstream_seconds_count answered": 1,
        "stage_seconds_count predictor": 1,
        "queue_wait_seconds_count": 1,
    }


async def timed_answer(request: httpx.Request) -> httpx.Response:
    await asyncio.sleep(0.02)
    answer = prediction("id") | {"image": INFO.model_dump(), "timings_ms": {"predictor": 1.0}}
    return httpx.Response(200, json=answer)


@pytest.mark.parametrize(
    ("first", "times"),
    [
        (answering(500), 2),
        (raising(httpx.ReadError("reset")), 2),
        (answering(502), 2),
        (answering(502, "interrupted"), 2),
        (answering(502, "unreached"), 4),
        (answering(502, "poison"), 1),
        (answering(503, "unavailable"), 1),
        (answering(500, "prediction_failed"), 1),
        (raising(httpx.ConnectError("refused")), 1),
        (raising(httpx.ReadError("alert"), ssl.SSLError("bad")), 1),
    ],
)
async def test_only_attempt_without_answer_is_retried(first, times):
    asked = []

    async def handler(request):
        asked.append(int(request.headers["x-deadline-ms"]))
        await asyncio.sleep(0.01)
        return first(request)

    await outcome(handler)
    assert len(asked) == times
    # Both within one deadline: what the first took is gone for the second.
    assert all(second <= first - 10 for first, second in itertools.pairwise(asked))


async def test_answer_to_retry_is_returned():
    handlers = [answering(500), answering(422, "broken_image")]
    assert isinstance(await outcome(lambda request: handlers.pop(0)(request)), BrokenImage)


LOSSES = {
    "lost": answering(500),
    "interrupted": answering(502, "interrupted"),
    "unreached": answering(502, "unreached"),
    "refused": answering(422, "broken_image"),
}


@pytest.mark.parametrize(
    ("losses", "error"),
    [
        ("lost lost", PoisonImage),
        ("lost interrupted", UpstreamInterrupted),
        ("interrupted lost", UpstreamDisconnected),
        ("interrupted interrupted", UpstreamInterrupted),
        ("unreached lost lost", PoisonImage),
        ("lost unreached lost", PoisonImage),
        ("unreached lost unreached refused", BrokenImage),
        ("unreached unreached unreached lost refused", BrokenImage),
        ("unreached unreached lost unreached unreached", UpstreamUnreached),
    ],
)
async def test_image_is_sent_twice_and_past_three_empty_nodes(losses, error):
    handlers = [LOSSES[name] for name in losses.split()]
    assert type(await outcome(lambda request: handlers.pop(0)(request))) is error
    assert handlers == []


async def test_image_that_was_sent_nowhere_needs_no_budget():
    asked = []

    def handler(request):
        asked.append(request)
        return answering(502, "unreached")(request)

    ingress = upstream(handler)
    for _ in range(60):
        with pytest.raises(UpstreamUnreached):
            await ask(ingress)
    assert len(asked) == 240


async def test_every_attempt_is_reported():
    attempts: list[int] = []
    with pytest.raises(PoisonImage):
        await ask(upstream(answering(500)), attempts)
    assert len(attempts) == 2


async def test_retries_are_limited_by_budget():
    asked = []

    def handler(request):
        asked.append(request)
        # Every other request is an answer, so that the circuit stays closed.
        return (
            answering(500)(request) if len(asked) % 3 else answering(422, "broken_image")(request)
        )

    ingress = upstream(handler)
    kinds = []
    for _ in range(60):
        with pytest.raises(LesionserveError) as raised:
            await ask(ingress)
        kinds.append(type(raised.value))
    # Ten are saved at the start and a tenth of one is earned by each request.
    assert len(asked) - 60 <= 16
    assert kinds.count(UpstreamDisconnected) > 0


async def test_answer_at_deadline_of_ingress_is_received():
    async def handler(request):
        await asyncio.sleep(int(request.headers["X-Deadline-Ms"]) / 1000)
        return answering(503, "unavailable")(request)

    assert type(await outcome(handler, deadline_s=2)) is Unavailable


@pytest.mark.parametrize(("deadline_s", "most"), [(30, 29_000), (600, 599_000), (0.2, 180)])
async def test_deadline_of_ingress_is_shorter_than_that_of_gateway(deadline_s, most):
    sent = []

    def handler(request):
        sent.append(int(request.headers["X-Deadline-Ms"]))
        return httpx.Response(404)

    await outcome(handler, deadline_s)
    # What has passed since the request came is gone, too.
    assert 0 < sent[0] <= most


async def test_endless_answer_is_cut_off(monkeypatch):
    monkeypatch.setattr(exchange, "_MAX_ANSWER_BYTES", 1000)
    sent = 0

    async def endless():
        nonlocal sent
        while True:
            sent += 100
            yield b" " * 100

    error = await outcome(lambda request: httpx.Response(200, content=endless()))
    assert isinstance(error, UpstreamFault)
    assert sent == 1100


async def test_application_at_path_is_asked_below_it():
    paths: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path)
        return httpx.Response(200, json={})

    client = httpx.AsyncClient(base_url="http://up/candidate", transport=Wire(handler))
    with pytest.raises(LesionserveError):
        await Upstream(client, 30).ask_once(IMAGE, 1)
    await Upstream(client, 30).model()
    assert paths == ["/candidate/predict", "/candidate/model"]


async def test_image_that_is_asked_once_is_in_no_metric():
    with changes() as changed:
        for answer in (answering(503), answering(500)):
            with pytest.raises(LesionserveError):
                await upstream(answer).ask_once(IMAGE, 1)
    assert changed == {}


async def test_remaining_time_bounds_prediction():
    async def hang(request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError("the caller has given up")

    with pytest.raises(DeadlineExceeded):
        await upstream(hang).predict(IMAGE, lambda: None, within_s=0.01)


async def test_connected_upstream_keeps_its_deadline():
    connected = Upstream.connect("http://127.0.0.1:1", "a token", 0.0)
    with pytest.raises(DeadlineExceeded):
        await connected.predict(IMAGE, lambda: None)
    await connected.close()


def test_upstream_is_read_from_state_of_server():
    own = upstream(raising(httpx.ReadError("x")))
    assert upstream_of({"state": {"upstream": own}}) is own


@pytest.mark.parametrize(("status", "result"), [(200, "answered"), (422, "refused"), (0, "lost")])
async def test_attempt_is_timed_from_its_first_byte(monkeypatch, status, result):
    clock = itertools.count(100.0, 0.25)
    monkeypatch.setattr(module, "monotonic", lambda: next(clock))
    before = value("upstream_seconds_sum", result=result)

    def answer(request: httpx.Request) -> httpx.Response:
        if status == 0:
            raise httpx.ConnectError("refused")
        if status == 422:
            return answering(422, "broken_image")(request)
        info = ImageInfo(width=10, height=10, format="PNG").model_dump()
        return httpx.Response(200, json={**prediction("id"), "image": info})

    with contextlib.suppress(LesionserveError):
        await upstream(answer).predict(IMAGE, lambda: None)
    after = value("upstream_seconds_sum", result=result)
    assert after - before == pytest.approx(0.25)
