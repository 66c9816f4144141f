"""Whole requests to POST /predict/, without a socket; the ingress is a function of this test."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gateway.access.limits import Limiter
from gateway.access.models import ApiKey
from gateway.audit.models import Record
from gateway.database import in_database
from gateway.environment import Rates
from gateway.middleware import RequestContextMiddleware
from gateway.predict.endpoint import PredictEndpoint
from gateway.predict.forwarding import StableForwarder
from gateway.predict.upstream import Upstream
from pipeline.image.limits import ImageLimits
from pipeline.schemas import Prediction, PredictOptions, Problem
from pipeline.tracing import spans
from tests.clinics import issue_key
from tests.integration.gateway.client import BOUNDARY, form, jpeg, part
from tests.integration.gateway.ingress import prediction
from tests.unit.gateway.metric_values import changes, value
from tests.unit.gateway.predict.test_tracing import TRACE, TRACEPARENT, exporter
from tests.unit.gateway.predict.wire import Wire

__all__ = ["exporter"]

pytestmark = pytest.mark.django_db(transaction=True)

IMAGE = jpeg()
FORM = form(part(IMAGE))
LOST = httpx.ReadError("reset")

Answer = Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


def predicted(request: httpx.Request) -> httpx.Response:
    options = PredictOptions.model_validate_strings(dict(request.url.params))
    ids = request.headers["x-request-id"], request.headers.get("x-correlation-id")
    return httpx.Response(200, json=prediction(ids[0], IMAGE, options, ids[1]))


def overloaded(request: httpx.Request) -> httpx.Response:
    id_ = request.headers["x-request-id"]
    problem = Problem(title="t", status=503, detail="d", code="overloaded", request_id=id_)
    return httpx.Response(503, text=problem.model_dump_json())


@dataclass
class Gateway:
    """The endpoint of a server, and the requests that have reached its ingress."""

    key: ApiKey
    token: str
    answer: Answer = predicted
    asked: list[httpx.Request] = field(default_factory=list)

    def __post_init__(self) -> None:
        async def ingress(request: httpx.Request) -> httpx.Response:
            self.asked.append(request)
            response = self.answer(request)
            return await response if isinstance(response, Awaitable) else response

        client = httpx.AsyncClient(base_url="http://ingress", transport=Wire(ingress))
        limiter = Limiter(Rates(caller=100, organisation=100, failures=100))
        forwarder = StableForwarder(Upstream(client, 30))
        self._state = {"forwarder": forwarder, "limiter": limiter}
        self._app = RequestContextMiddleware(PredictEndpoint())

    async def predict(
        self,
        body: bytes = FORM,
        *headers: tuple[bytes, bytes],
        query: bytes = b"",
        token: str | None = None,
        departure: asyncio.Event | None = None,
        **scope: Any,
    ) -> list[Any]:
        """Return the messages of the answer. The client leaves at its departure."""
        messages: list[Any] = []
        events = iter([{"type": "http.request", "body": body}])

        async def receive() -> Any:
            if (event := next(events, None)) is not None:
                return event
            await (departure or asyncio.Event()).wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            messages.append(message)

        fixed = [
            (b"host", b"localhost"),
            (b"x-api-key", (token or self.token).encode()),
            (b"content-type", f"multipart/form-data; boundary={BOUNDARY}".encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        request = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": "/predict/",
            "query_string": query,
            "headers": [*fixed, *headers],
            "client": ("192.0.2.1", 4711),
            "state": self._state,
        }
        await self._app({**request, **scope}, receive, send)
        return messages


@pytest.fixture
def gateway() -> Gateway:
    key, token = issue_key()
    return Gateway(key, str(token))


def answer_of(messages: list[Any]) -> tuple[int, dict[bytes, bytes], Any]:
    """Return status, headers and content of the answer."""
    start, body = messages
    return start["status"], dict(start["headers"]), json.loads(body["body"])


async def the_record() -> Record:
    return await in_database(Record.objects.select_related("organisation").get)


async def test_answer_is_prediction_of_ingress(gateway):
    status, headers, content = answer_of(
        await gateway.predict(FORM, (b"x-correlation-id", b"case-7"), query=b"masks=polygon")
    )
    assert (status, headers[b"content-type"]) == (200, b"application/json")
    assert b"idempotent-replayed" not in headers
    record = await the_record()
    options = PredictOptions(masks="polygon")
    expected = prediction(str(record.request_id), IMAGE, options, "case-7")
    assert Prediction.model_validate(content) == Prediction.model_validate(expected)


async def test_ingress_gets_image_and_options(gateway):
    await gateway.predict(FORM, (b"x-correlation-id", b"case-7"), query=b"score_threshold=0.3")
    (asked,) = gateway.asked
    assert asked.content == IMAGE
    assert asked.headers["content-type"] == "image/jpeg"
    assert asked.headers["x-correlation-id"] == "case-7"
    assert asked.headers["x-request-id"] == str((await the_record()).request_id)
    assert asked.url.params["score_threshold"] == "0.3"


async def test_record_says_what_was_asked_and_answered(gateway):
    with changes() as changed:
        await gateway.predict(FORM, (b"x-correlation-id", b"case-7"), query=b"score_threshold=0.3")
    record = await the_record()
    assert (record.state, record.status, record.error_code) == ("succeeded", 200, "")
    assert (record.organisation.name, record.key_id) == ("a clinic", gateway.key.id)
    assert (record.source, record.user, record.address) == ("client", "", "192.0.2.1")
    assert record.correlation_id == "case-7"
    assert (record.body_bytes, record.image_bytes) == (len(FORM), len(IMAGE))
    assert (record.image_format, record.image_width, record.image_height) == ("JPEG", 64, 48)
    assert record.options == PredictOptions(score_threshold=0.3).model_dump()
    assert (record.attempts, record.replayed) == (1, False)
    assert (record.model_name, record.detection_count) == ("fake", 1)
    assert changed["detections_total HSIL"] == 1


@pytest.mark.parametrize(
    ("scopes", "status", "source"),
    [(["probe"], 200, "probe"), (["usage:read"], 403, "client")],
)
async def test_scopes_of_key_decide(gateway, scopes, status, source):
    _, token = await in_database(lambda: issue_key("another", scopes=scopes))
    messages = await gateway.predict(token=str(token))
    assert messages[0]["status"] == status
    record = await the_record()
    assert (record.status, record.source) == (status, source)


async def test_same_key_is_answered_again_with_same_bytes(gateway):
    key = (b"idempotency-key", b"a")
    first, second = [await gateway.predict(FORM, key) for _ in range(2)]
    assert dict(second[0]["headers"])[b"idempotent-replayed"] == b"true"
    assert b"idempotent-replayed" not in dict(first[0]["headers"])
    assert first[1] == second[1]
    assert len(gateway.asked) == 1
    records = await in_database(lambda: list(Record.objects.order_by("received_at")))
    assert [(record.attempts, record.replayed) for record in records] == [(1, False), (0, True)]
    assert [record.detection_count for record in records] == [1, 1]


async def test_key_of_other_image_or_options_is_refused(gateway):
    key = (b"idempotency-key", b"a")
    await gateway.predict(FORM, key)
    for body, query in [(FORM, b"masks=none"), (form(part(jpeg(48, 64))), b"")]:
        status, _, problem = answer_of(await gateway.predict(body, key, query=query))
        assert (status, problem["code"]) == (422, "idempotency_key_reused")


async def test_key_is_free_again_after_failure(gateway):
    key = (b"idempotency-key", b"a")
    gateway.answer = overloaded
    status, _, problem = answer_of(await gateway.predict(FORM, key))
    assert (status, problem["code"]) == (503, "overloaded")
    gateway.answer = predicted
    assert (await gateway.predict(FORM, key))[0]["status"] == 200
    assert (await in_database(Record.objects.order_by("received_at").first)).state == "shed"


async def test_each_attempt_is_recorded(gateway):
    def lost_once(request: httpx.Request) -> httpx.Response:
        if len(gateway.asked) == 1:
            raise LOST
        return predicted(request)

    gateway.answer = lost_once
    assert (await gateway.predict())[0]["status"] == 200
    assert (await the_record()).attempts == 2


async def test_request_without_free_slot_is_shed(gateway, settings):
    settings.MAX_IN_FLIGHT = 1
    arrival, goes_on = asyncio.Event(), asyncio.Event()

    async def wait(request: httpx.Request) -> httpx.Response:
        arrival.set()
        await goes_on.wait()
        return predicted(request)

    gateway.answer = wait
    first = asyncio.create_task(gateway.predict())
    await arrival.wait()
    assert value("in_flight") == 1
    status, _, problem = answer_of(await gateway.predict())
    assert (status, problem["code"]) == (503, "overloaded")
    goes_on.set()
    assert (await first)[0]["status"] == 200
    assert value("in_flight") == 0
    assert (await gateway.predict())[0]["status"] == 200


async def test_request_that_client_leaves_is_recorded_as_aborted(gateway):
    departure = asyncio.Event()

    async def hang(request: httpx.Request) -> httpx.Response:
        departure.set()
        return await asyncio.Event().wait()

    gateway.answer = hang
    key = (b"idempotency-key", b"a")
    assert await gateway.predict(FORM, key, departure=departure) == []
    record = await the_record()
    assert (record.state, record.status, record.attempts) == ("aborted", None, 1)
    gateway.answer = predicted
    assert (await gateway.predict(FORM, key))[0]["status"] == 200


@pytest.mark.parametrize(
    ("body", "limit", "status"), [(FORM, 64 * 48, 200), (FORM, 64 * 48 - 1, 413), (b"x", 9, 400)]
)
async def test_image_is_bounded_as_set(gateway, settings, body, limit, status):
    settings.IMAGE_LIMITS = ImageLimits(max_pixels=limit)
    assert (await gateway.predict(body))[0]["status"] == status
    assert len(gateway.asked) == (status == 200)


async def test_form_is_bounded_as_set(gateway, settings):
    settings.MAX_UPLOAD_BYTES = len(FORM)
    assert (await gateway.predict())[0]["status"] == 200
    settings.MAX_UPLOAD_BYTES = len(FORM) - 1
    status, _, problem = answer_of(await gateway.predict())
    assert (status, problem["code"]) == (413, "body_too_large")
    assert (await in_database(Record.objects.order_by("received_at").last)).body_bytes is None


async def test_answer_is_withheld_that_cannot_be_recorded(gateway, monkeypatch):
    monkeypatch.setattr(Record.objects, "close", lambda record, beside: False)
    status, _, problem = answer_of(await gateway.predict())
    assert (status, problem["code"]) == (503, "database_unavailable")
    assert len(gateway.asked) == 1


async def test_request_is_traced_from_client_to_ingress(gateway, exporter):
    await gateway.predict(FORM, (b"traceparent", TRACEPARENT))
    spans.stop()
    exported = exporter.get_finished_spans()
    assert [span.name for span in exported].count("inspect") == 1
    assert {f"{span.context.trace_id:032x}" for span in exported} == {TRACE}
    assert gateway.asked[0].headers["traceparent"].split("-")[1] == TRACE
