"""Which requests are traced, and what the first span of a trace says; whole requests are traced in
`tests/integration/gateway/test_tracing.py`."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from gateway.audit.models import Record, State
from gateway.predict.tracing import describe, request_trace
from pipeline.tracing import sdk, spans

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01".encode()


class Exporter(InMemorySpanExporter):
    """Keeps the spans, in place of the exporter that sends them."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    def close_soon(self) -> None:
        pass


@pytest.fixture
def exporter(monkeypatch, settings) -> Iterator[Exporter]:
    """The exporter of this process, which traces every request."""
    settings.TRACE_SHARE = 1.0
    exporter = Exporter()
    monkeypatch.setattr(sdk, "AllowListExporter", lambda *_: exporter)
    spans.start("http://127.0.0.1:1", "a service")
    yield exporter
    spans.stop()


def exported(exporter: Exporter) -> dict[str, ReadableSpan]:
    spans.stop()
    return {span.name: span for span in exporter.get_finished_spans()}


def attributes(record: Record, exporter: Exporter) -> dict[str, object]:
    """Return the attributes of the first span of a request that is recorded in a later one."""
    with request_trace([]), spans.span("record"):
        describe(record)
    trace = exported(exporter)
    assert not trace["record"].attributes
    return {name.rpartition(".")[2]: value for name, value in trace["predict"].attributes.items()}


def test_first_span_holds_what_record_says(exporter):
    record = Record(request_id=uuid4(), state=State.FAILED, status=502, error_code="unavailable")
    record.attempts, record.replayed = 2, True
    record.image_format, record.image_pixels = "JPEG", 3072
    record.model_name, record.model_version = "a model", "7"
    assert attributes(record, exporter) == {
        "outcome": "failed",
        "status": 502,
        "code": "unavailable",
        "attempts": 2,
        "replayed": True,
        "image_format": "JPEG",
        "image_pixels": 3072,
        "model": "a model",
        "model_version": "7",
    }


def test_first_span_leaves_out_what_is_not_known(exporter):
    record = Record(request_id=uuid4(), state=State.ABORTED)
    assert attributes(record, exporter) == {"outcome": "aborted", "attempts": 0, "replayed": False}


@pytest.mark.parametrize("state", State)
def test_only_failed_request_fails_its_trace(exporter, state):
    with request_trace([]):
        describe(Record(request_id=uuid4(), state=state))
    assert exported(exporter)["predict"].status.is_ok == (state != State.FAILED)


def test_untraced_request_is_not_described(exporter):
    describe(Record(request_id=uuid4()))
    assert exported(exporter) == {}


@pytest.mark.parametrize(("draw", "is_traced"), [(0.49, True), (0.5, False), (0.51, False)])
def test_share_of_requests_is_traced(exporter, settings, monkeypatch, draw, is_traced):
    settings.TRACE_SHARE = 0.5
    monkeypatch.setattr("gateway.predict.tracing.random", lambda: draw)
    with request_trace([(b"traceparent", TRACEPARENT)]):
        assert (spans.current() is not None) == is_traced


def test_request_is_untraced_without_receiver(settings):
    settings.TRACE_SHARE = 1.0
    assert request_trace([]) is spans.UNTRACED


@pytest.mark.parametrize(
    ("headers", "is_continued"),
    [
        ([(b"Traceparent", TRACEPARENT)], True),
        ([(b"traceparent", TRACEPARENT)] * 2, False),
        ([(b"tracestate", TRACEPARENT)], False),
    ],
)
def test_trace_of_client_is_continued(exporter, headers, is_continued):
    with request_trace(headers):
        assert (spans.current().trace_id == TRACE) == is_continued
