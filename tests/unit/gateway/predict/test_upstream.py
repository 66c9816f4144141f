import asyncio
import contextlib
import itertools
import json
import ssl
from pathlib import Path

import httpx
import pytest

from gateway.errors import (
    NotReady,
    UpstreamCertificateInvalid,
    UpstreamDisconnected,
    UpstreamFault,
    UpstreamInterrupted,
    UpstreamUnreached,
)
from gateway.predict import upstream as module
from gateway.predict.image_request import ImageRequest
from gateway.predict.retries import RetryBudget
from gateway.predict.upstream import Upstream, upstream_of
from pipeline.errors import (
    BrokenImage,
    DeadlineExceeded,
    LesionserveError,
    Overloaded,
    PoisonImage,
    Unavailable,
)
from pipeline.image.inspect import Header
from pipeline.schemas import ImageInfo, Prediction, PredictOptions, Problem
from tests.integration.gateway.ingress import prediction
from tests.unit.gateway.metric_values import changes, value

GZIP = {"Content-Encoding": "gzip"}
INFO = ImageInfo(width=10, height=10, format="PNG")
HEADER = Header("PNG", 10, 10)
IMAGE = ImageRequest(b"image", "0" * 64, HEADER, PredictOptions(), "id")
BAD_CERTIFICATE = ssl.SSLCertVerificationError("bad")


class Wire(httpx.MockTransport):
    """Gives the handler's answers as the network would: still to be read."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await super().handle_async_request(request)
        stream = (
            httpx.ByteStream(response.content) if response.is_stream_consumed else response.stream
        )
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)


def upstream(handler, deadline_s: float = 30) -> Upstream:
    """Return a client of this ingress, whose retry budget does not grow with time."""
    client = httpx.AsyncClient(base_url="http://up", transport=Wire(handler))
    return Upstream(client, deadline_s, RetryBudget(lambda: 0.0))


async def ask(ingress: Upstream, attempts: list[int] | None = None) -> Prediction:
    note = (attempts if attempts is not None else []).append
    return await ingress.predict(IMAGE, lambda: note(1))


async def outcome(handler, deadline_s: float = 30) -> LesionserveError:
    with pytest.raises(LesionserveError) as raised:
        await upstream(handler, deadline_s).predict(IMAGE, lambda: None)
    return raised.value


def raising(error: Exception, cause: Exception | None = None):
    def handler(request):
        raise error from cause

    return handler


def answering(status: int, code: str = "", **headers: str):
    problem = Problem(title="t", status=status, detail="d", code=code, request_id="id")
    body = problem.model_dump_json() if code else "<html>"
    return lambda request: httpx.Response(status, text=body, headers=headers)


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


async def test_request_that_open_circuit_refuses_is_no_attempt():
    ingress = upstream(raising(httpx.ConnectError("refused")))
    for _ in range(8):
        with pytest.raises(Unavailable):
            await ask(ingress)
    with changes() as changed, pytest.raises(Unavailable):
        await ask(ingress)
    assert changed == {}
    assert value("circuit_open") == 1


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


class Clock:
    def __init__(self, monkeypatch) -> None:
        self.now = 1000.0
        monkeypatch.setattr("gateway.predict.breaker.monotonic", lambda: self.now)


@pytest.fixture
def clock(monkeypatch) -> Clock:
    return Clock(monkeypatch)


async def test_open_circuit_spares_ingress(clock):
    asked = []

    def handler(request):
        asked.append(request)
        raise httpx.ConnectError("refused")

    ingress = upstream(handler)
    for _ in range(20):
        with pytest.raises(Unavailable):
            await ask(ingress)
    assert len(asked) == 8
    for _ in range(3):
        clock.now += 6
        for _ in range(3):
            with pytest.raises(Unavailable):
                await ask(ingress)
    assert len(asked) == 11


async def test_half_open_circuit_lets_one_request_through(clock):
    answers, asked, goes_on = [httpx.ConnectError("refused")] * 8, [], asyncio.Event()

    async def handler(request):
        asked.append(request)
        if answers:
            raise answers.pop()
        await goes_on.wait()
        return answering(422, "broken_image")(request)

    ingress = upstream(handler)
    for _ in range(8):
        with pytest.raises(Unavailable):
            await ask(ingress)
    clock.now += 6
    test = asyncio.create_task(ask(ingress))
    await asyncio.sleep(0.01)
    with pytest.raises(Unavailable):
        await ask(ingress)
    assert len(asked) == 9
    goes_on.set()
    for request in (test, ask(ingress)):  # and its answer lets all of them in
        with pytest.raises(BrokenImage):
            await request


async def test_lack_of_own_connections_does_not_open_circuit(clock):
    errors = [*[httpx.ConnectError("refused")] * 7, httpx.PoolTimeout("full")] * 2
    ingress, asked = upstream(lambda request: raising(errors.pop())(request)), []
    for _ in range(12):
        with pytest.raises(LesionserveError):
            await ask(ingress, asked)
    assert len(asked) == 10  # the eighth loss opens it


async def test_disconnected_client_does_not_close_circuit(clock):
    leaves = True

    async def handler(request):
        if leaves:
            await asyncio.sleep(60)
        raise httpx.ConnectError("refused")

    async def leave(ingress: Upstream) -> None:
        request = asyncio.create_task(ask(ingress))
        await asyncio.sleep(0.01)
        request.cancel()
        with pytest.raises(asyncio.CancelledError):
            await request

    ingress, asked = upstream(handler), []
    for leaves in [False] * 7 + [True, False]:
        if leaves:
            await leave(ingress)
        else:
            with pytest.raises(Unavailable):
                await ask(ingress, asked)
    assert len(asked) == 8
    clock.now += 6
    leaves = True
    await leave(ingress)  # as the test of the open circuit, which tells nothing
    leaves = False
    for _ in range(2):
        with pytest.raises(Unavailable):
            await ask(ingress, asked)
    assert len(asked) == 9


@pytest.mark.parametrize(
    ("status", "code"),
    [(503, "overloaded"), (503, "unavailable"), (504, "deadline_exceeded"), (502, "")],
)
async def test_any_response_keeps_circuit_closed(status, code):
    ingress = upstream(answering(status, code))
    for _ in range(20):
        asked: list[int] = []
        with pytest.raises(LesionserveError):
            await ask(ingress, asked)
        assert asked


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


async def test_connect_rejects_authority_file_without_certificate(tmp_path):
    nobody = tmp_path / "ca.pem"
    nobody.write_text("no certificate")
    with pytest.raises(ssl.SSLError):
        Upstream.connect("https://up", "token", deadline_s=1, ca=nobody)


async def test_client_ignores_environment(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    upstream = Upstream.connect("http://up", "token", deadline_s=1)
    assert upstream._client.trust_env is False
    await upstream.close()


async def test_client_stores_no_cookies():
    upstream = Upstream.connect("http://up", "token", deadline_s=1)
    setting = httpx.Response(
        200, headers={"Set-Cookie": "a=b"}, request=httpx.Request("GET", "http://up/")
    )
    upstream._client.cookies.extract_cookies(setting)
    assert not upstream._client.cookies
    await upstream.close()


class TestConnect:
    @pytest.fixture
    def options(self, monkeypatch) -> dict[str, object]:
        """What the client is made with, by name."""
        options: dict[str, object] = {}
        monkeypatch.setattr(
            module.httpx, "AsyncClient", lambda **arguments: options.update(arguments)
        )
        return options

    def test_client_sends_token_and_accepts_no_compression(self, options):
        Upstream.connect("http://up", "a token", 30)
        assert options["base_url"] == "http://up"
        assert options["headers"] == {
            "Authorization": "Bearer a token",
            "User-Agent": "lesionserve-gateway",
            "Accept-Encoding": "identity",
        }

    def test_client_limits_connections_and_waits(self, options, monkeypatch):
        made: dict[str, object] = {}
        monkeypatch.setattr(
            module.httpx, "AsyncHTTPTransport", lambda **arguments: made.update(arguments)
        )
        Upstream.connect("http://up", "a token", 30)
        assert options["timeout"] == httpx.Timeout(None, connect=2.0, pool=0.5)
        assert made["trust_env"] is False
        assert made["limits"] == httpx.Limits(
            max_connections=128, max_keepalive_connections=32, keepalive_expiry=3.0
        )

    def test_client_loads_its_certificate(self, options, monkeypatch):
        shown: list[object] = []
        monkeypatch.setattr(
            ssl.SSLContext, "load_cert_chain", lambda context, path: shown.append(path)
        )
        Upstream.connect("https://up", "a token", 30)
        assert shown == []
        Upstream.connect("https://up", "a token", 30, certificate=Path("own.pem"))
        assert shown == ["own.pem"]

    @pytest.mark.parametrize("follows", [True, False])
    def test_client_follows_named_port_unless_told_otherwise(self, options, follows):
        Upstream.connect("http://up", "a token", 30, follows=follows)
        assert isinstance(options["transport"], module.AlternativeService) == follows


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
