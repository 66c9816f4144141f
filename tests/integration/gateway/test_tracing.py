"""Traces of whole requests through the gateway, at a receiver of OTLP."""

import io
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest
from PIL import Image

from gateway.audit.models import Record
from pipeline.tracing import spans
from tests.clinics import issue_key
from tests.integration.gateway.client import BOUNDARY, Gateway, form, head, jpeg, part
from tests.integration.gateway.ingress import FakeIngress, prediction, problem
from tests.integration.gateway.records import the_record
from tests.integration.gateway.servers import running_gateway
from tests.otlp import OtlpReceiver, otlp_receiver

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
SAMPLED = f"traceparent: 00-{TRACE}-{PARENT}-01"
UNSAMPLED = f"traceparent: 00-{TRACE}-{PARENT}-00"
# Of a request that is answered after one attempt
STEPS = {
    *("predict", "authenticate", "authorise", "admit", "read_body", "inspect"),
    *("upstream_attempt", "record"),
}


@contextmanager
def traced_gateway(ingress: FakeIngress, url: str, share: float = 1.0) -> Iterator[Gateway]:
    upstream = f"http://127.0.0.1:{ingress.port}"
    with running_gateway(UPSTREAM_URL=upstream, OTLP_ENDPOINT=url, TRACE_SHARE=share) as gateway:
        yield gateway


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        yield receiver


@pytest.fixture
def gateway(
    ingress: FakeIngress, receiver: OtlpReceiver, transactional_db: None
) -> Iterator[Gateway]:
    """A gateway that traces every request. Its end sends what is left."""
    with traced_gateway(ingress, receiver.url) as gateway:
        yield gateway


def test_trace_of_client_goes_through_every_step(gateway, receiver, ingress, key):
    response = gateway.predict(form(part(jpeg())), key, UNSAMPLED)
    assert response.status == 200
    trace = receiver.trace(TRACE, len(STEPS))
    assert set(trace) == STEPS
    root = trace.pop("predict")
    assert (root.parent_id, root.kind, root.service) == (PARENT, "server", "lesionserve-gateway")
    assert {span.parent_id for span in trace.values()} == {root.span_id}
    attempt = trace["upstream_attempt"]
    assert attempt.kind == "client"
    assert ingress.sent[0].headers["traceparent"] == f"00-{TRACE}-{attempt.span_id}-01"


def test_first_span_describes_request_by_its_record(gateway, receiver, key):
    gateway.predict(form(part(jpeg(64, 48))), key, SAMPLED)
    root = receiver.await_span("predict")
    assert root.attributes == {
        "outcome": "succeeded",
        "status": 200,
        "attempts": 1,
        "replayed": False,
        "image_format": "JPEG",
        "image_pixels": 64 * 48,
        "model": "fake",
        "model_version": "7",
    }
    assert not root.is_failed


@pytest.mark.parametrize(
    "header",
    ["x", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-x", "\u00b2" * 55, "0" * 9000],
)
def test_malformed_traceparent_begins_new_trace(gateway, receiver, key, header):
    response = gateway.predict(form(part(jpeg())), key, f"traceparent: {header}")
    assert response.status == 200
    root = receiver.await_span("predict")
    assert (root.parent_id, root.trace_id == TRACE) == ("", False)


def test_repeated_traceparent_begins_new_trace(gateway, receiver, key):
    assert gateway.predict(form(part(jpeg())), key, SAMPLED, SAMPLED).status == 200
    assert receiver.await_span("predict").trace_id != TRACE


def test_tracestate_and_baggage_are_not_passed_on(gateway, receiver, ingress, key):
    headers = ["tracestate: a=1", "baggage: name=Jane", "b3: 1", "uber-trace-id: 1"]
    gateway.predict(form(part(jpeg())), key, SAMPLED, *headers)
    receiver.await_span("predict")
    sent = ingress.sent[0].headers
    assert "traceparent" in sent
    assert not {"tracestate", "baggage", "b3", "uber-trace-id"} & set(sent)


def test_client_cannot_ask_for_trace(receiver, ingress, transactional_db, key):
    with traced_gateway(ingress, receiver.url, share=0) as gateway:
        for _ in range(10):
            assert gateway.predict(form(part(jpeg())), key, SAMPLED).status == 200
    assert receiver.bodies == []
    assert all("traceparent" not in sent.headers for sent in ingress.sent)


def test_share_of_requests_is_traced(receiver, ingress, transactional_db, key, monkeypatch):
    draws = iter([0.49, 0.5, 0.51, 0.0, 0.99])
    monkeypatch.setattr("gateway.predict.tracing.random", lambda: next(draws))
    with traced_gateway(ingress, receiver.url, share=0.5) as gateway:
        for _ in range(5):
            gateway.predict(form(part(jpeg())), key, SAMPLED)
    assert [span.name for span in receiver.spans].count("predict") == 2


def test_each_attempt_has_its_span(gateway, receiver, ingress, key):
    def answer(sent):
        if len(ingress.sent) == 1:
            return (500, b"")
        return FakeIngress.json(prediction(sent.headers["x-request-id"]))

    ingress.answer = answer
    assert gateway.predict(form(part(jpeg())), key, SAMPLED).status == 200
    receiver.trace(TRACE, len(STEPS) + 1)
    attempts = [span for span in receiver.spans if span.name == "upstream_attempt"]
    lost, answered = attempts
    assert (lost.attributes, lost.is_failed) == ({"code": "unavailable"}, True)
    assert (answered.attributes, answered.is_failed) == ({}, False)
    parents = [sent.headers["traceparent"].split("-")[2] for sent in ingress.sent]
    assert parents == [lost.span_id, answered.span_id]
    assert receiver.await_span("predict").attributes["attempts"] == 2


def test_refusals_have_their_code_and_are_no_failures(gateway, receiver, key):
    assert gateway.predict(form(part(jpeg())), SAMPLED).status == 401
    trace = receiver.trace(TRACE, 3)
    assert set(trace) == {"predict", "authenticate", "record"}
    assert trace["authenticate"].attributes == {"code": "unauthorized"}
    root = trace["predict"].attributes
    assert (root["outcome"], root["status"], root["code"]) == ("rejected", 401, "unauthorized")
    receiver.clear()
    assert gateway.predict(form(part(b"no image")), key, SAMPLED).status == 415
    assert receiver.await_span("inspect").attributes == {"code": "unsupported_image"}
    assert not any(span.is_failed for span in receiver.spans)


def test_failure_of_service_is_failure_of_trace(gateway, receiver, ingress, key):
    ingress.answer = lambda sent: problem(sent, 500, "prediction_failed")
    assert gateway.predict(form(part(jpeg())), key, SAMPLED).status == 502
    root = receiver.await_span("predict")
    assert (root.is_failed, root.attributes["code"]) == (True, "upstream_fault")


def test_replayed_answer_is_traced_without_attempt(gateway, receiver, key):
    for traceparent in (SAMPLED, f"traceparent: 00-{'a' * 32}-{PARENT}-01"):
        gateway.predict(form(part(jpeg())), key, traceparent, "Idempotency-Key: 1")
    trace = receiver.trace("a" * 32, len(STEPS) - 1)
    assert trace["predict"].attributes["replayed"] is True
    assert "upstream_attempt" not in trace


def test_aborted_request_is_traced(gateway, receiver, ingress, key):
    ingress.holds = True
    body = form(part(jpeg()))
    lines = [f"Content-Type: multipart/form-data; boundary={BOUNDARY}", key, SAMPLED]
    with gateway.connect() as connection:
        connection.sendall(head("POST /predict/", f"Content-Length: {len(body)}", *lines) + body)
        assert ingress.was_asked.wait(30)
    trace = receiver.trace(TRACE, len(STEPS))
    assert trace["predict"].attributes["outcome"] == "aborted"
    assert trace["upstream_attempt"].attributes == {"code": "cancelled"}
    assert not any(span.is_failed for span in trace.values())


def test_other_pages_are_not_traced(receiver, ingress, transactional_db, key):
    with traced_gateway(ingress, receiver.url) as gateway:
        assert gateway.get("/usage/", key, SAMPLED).status == 403
        assert gateway.get("/healthz", SAMPLED).status == 200
    assert receiver.bodies == []


SECRET = "Jane.Doe"


def secret_jpeg() -> bytes:
    image = Image.new("RGB", (64, 48))
    exif = image.getexif()
    exif[0x010E] = exif[0x013B] = SECRET
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, comment=SECRET)
    return file.getvalue()


def test_nothing_that_client_writes_is_exported(receiver, ingress, transactional_db, monkeypatch):
    name = f'form-data; name="file"; filename="{SECRET}.jpg"'
    image = part(secret_jpeg(), name, f"X-Name: {SECRET}")
    key = f"X-API-Key: {issue_key(SECRET, SECRET)[1]}"
    headers = [
        *(SAMPLED, f"tracestate: {SECRET}=1,a={SECRET}", f"baggage: name={SECRET}"),
        *(f"User-Agent: {SECRET}", f"Referer: https://{SECRET}/", f"Cookie: name={SECRET}"),
        *(f"X-Request-ID: {SECRET}", f"X-Forwarded-For: {SECRET}", f"{SECRET}: {SECRET}"),
    ]
    ids = [f"X-Correlation-Id: {SECRET}", f"Idempotency-Key: {SECRET}"]
    with traced_gateway(ingress, receiver.url) as gateway:
        answered = gateway.predict(form(image), key, *headers, *ids)
        refusals = [
            gateway.predict(form(image), f"X-API-Key: {SECRET}", *headers),
            gateway.predict(form(image), key, *headers, query=f"?{SECRET}={SECRET}"),
            gateway.predict(form(image), key, *headers, query=f"?masks={SECRET}"),
            gateway.predict(form(part(SECRET.encode(), name)), key, *headers),
            gateway.predict(form(part(secret_jpeg()[:-40], name)), key, *headers),
            gateway.predict(SECRET.encode(), key, *headers),
            gateway.predict(form(image), key, *headers, media=SECRET),
            gateway.predict(form(image), key, *headers, f"X-Correlation-Id: {SECRET} {SECRET}"),
            gateway.exchange(head("PUT /predict/", key, *headers), "PUT"),
            gateway.exchange(head("POST /predict/", key, *headers, host=SECRET)),
        ]
        ingress.answer = lambda sent: problem(sent, 422, "broken_image", SECRET)
        refusals.append(gateway.predict(form(image), key, *headers))
        ingress.answer = lambda sent: (200, SECRET.encode())
        refusals.append(gateway.predict(form(image), key, *headers))

        def fail(*_):
            raise ValueError(SECRET)

        monkeypatch.setattr("gateway.predict.endpoint.inspect", fail)
        refusals.append(gateway.predict(form(image), key, *headers))
    assert answered.status == 200
    assert sorted({refusal.status for refusal in refusals}) == [400, 401, 405, 415, 422, 500, 502]
    assert Record.objects.filter(correlation_id=SECRET).exists()
    assert [span.name for span in receiver.spans].count("predict") == len(refusals) + 1
    bodies = b"".join(receiver.bodies)
    for text in (SECRET, "jane", "doe", "a clinic", "127.0.0.1", "Traceback", "predict/"):
        assert text.lower().encode() not in bodies.lower(), text
    secret = key.rpartition("_")[2].encode()
    assert secret not in bodies
    assert key.split("_")[1].encode() not in bodies


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_receiver_that_is_down_costs_no_request(ingress, transactional_db, key):
    with traced_gateway(ingress, f"http://127.0.0.1:{free_port()}") as gateway:
        assert [gateway.predict(form(part(jpeg())), key).status for _ in range(5)] == [200] * 5


def test_receiver_that_hangs_holds_no_request(receiver, ingress, transactional_db, key):
    receiver.holds = True
    with traced_gateway(ingress, receiver.url) as gateway:
        assert gateway.predict(form(part(jpeg())), key).status == 200
        receiver.await_span("predict")
        # The exporter waits for its answer, which comes after the end of the gateway only.
        assert gateway.predict(form(part(jpeg())), key).status == 200
    assert not receiver.release.is_set()


@pytest.mark.parametrize("status", [302, 400, 401, 429, 503])
def test_receiver_that_refuses_costs_no_request(receiver, ingress, transactional_db, key, status):
    receiver.status = status
    with traced_gateway(ingress, receiver.url) as gateway:
        assert gateway.predict(form(part(jpeg())), key).status == 200
        receiver.await_span("predict")
        assert gateway.predict(form(part(jpeg())), key).status == 200


def test_gateway_without_endpoint_traces_nothing(ingress, transactional_db, key):
    with running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{ingress.port}", TRACE_SHARE=1.0) as plain:
        assert not spans.is_on()
        assert plain.predict(form(part(jpeg())), key, SAMPLED).status == 200
    assert "traceparent" not in ingress.sent[0].headers
    assert the_record().state == "succeeded"
