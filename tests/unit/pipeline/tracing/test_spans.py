"""Spans of a process, sent to a receiver of this test."""

import asyncio
import logging
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

from pipeline.errors import BrokenImage, Unavailable
from pipeline.tracing import spans
from pipeline.tracing.otlp import ONE_LINE_A_MINUTE, OTLPSpanExporter
from serve_app.paths import ROOT
from tests.otlp import OtlpReceiver, ReceivedSpan, otlp_receiver
from tests.tracing_extra import hide_extra

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


@pytest.fixture
def receiver() -> Iterator[OtlpReceiver]:
    """A receiver that this process sends its spans to."""
    with otlp_receiver() as receiver:
        spans.start(receiver.url, "a service", "an instance")
        yield receiver
        receiver.release.set()
        spans.stop()


def sent(receiver: OtlpReceiver) -> dict[str, ReceivedSpan]:
    spans.stop()
    return {span.name: span for span in receiver.spans}


def test_nothing_is_traced_before_start():
    with spans.begin("predict", f"00-{TRACE}-{PARENT}-01"), spans.span("inspect"):
        spans.annotate(status=200)
        assert spans.traceparent() is None
        assert spans.current() is spans.open_child("model") is None
    spans.stop()


def test_opentelemetry_is_not_imported_before_start():
    code = (
        "import sys; from pipeline.tracing import spans\n"
        "with spans.begin('predict'), spans.span('inspect'): pass\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "[]\n", done.stderr


def test_child_span_has_its_parent(receiver):
    with spans.begin("predict"), spans.span("inspect"):
        pass
    exported = sent(receiver)
    assert exported["predict"].parent_id == ""
    assert exported["inspect"].parent_id == exported["predict"].span_id
    assert exported["inspect"].trace_id == exported["predict"].trace_id
    assert receiver.paths == ["/v1/traces"]
    assert (exported["inspect"].service, exported["inspect"].instance) == (
        "a service",
        "an instance",
    )


@pytest.mark.parametrize("flags", ["00", "01", "ff"])
def test_trace_of_header_continues_whatever_its_flags(receiver, flags):
    with spans.begin("predict", f"00-{TRACE}-{PARENT}-{flags}"):
        sent_on = spans.traceparent()
    exported = sent(receiver)["predict"]
    assert (exported.trace_id, exported.parent_id) == (TRACE, PARENT)
    assert sent_on == f"00-{TRACE}-{exported.span_id}-01"


MALFORMED = [
    "",
    "nonsense",
    f"00-{'0' * 32}-{PARENT}-01",
    f"00-{TRACE}-{'0' * 16}-01",
    f"00-{TRACE.upper()}-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-01-more",
    f"ff-{TRACE}-{PARENT}-01",
    f"00-{TRACE}-{PARENT}",
    f"00-{TRACE}-{PARENT}-01, 00-{TRACE}-{PARENT}-01",
    f"00-{TRACE}-{PARENT}-0\xb9",
    f"01-{TRACE}-{PARENT}-01-" + "x" * 600,
]


@pytest.mark.parametrize("header", MALFORMED)
def test_malformed_header_begins_new_trace(receiver, caplog, header):
    with spans.begin("predict", header):
        pass
    exported = sent(receiver)["predict"]
    assert exported.trace_id != TRACE
    assert exported.parent_id == ""
    assert caplog.records == []


def test_later_version_of_header_continues(receiver):
    with spans.begin("predict", f"01-{TRACE}-{PARENT}-01-what-comes"):
        pass
    assert sent(receiver)["predict"].trace_id == TRACE


@pytest.mark.parametrize("header", [None, f"00-{TRACE}-{PARENT}-00", *MALFORMED])
def test_unsampled_trace_is_not_resumed(receiver, header):
    with spans.resume("ingress", header):
        assert spans.current() is None
    assert sent(receiver) == {}


def test_sampled_trace_is_resumed(receiver):
    with spans.resume("ingress", f"00-{TRACE}-{PARENT}-01"):
        pass
    assert sent(receiver)["ingress"].parent_id == PARENT


@pytest.mark.parametrize(
    ("error", "code", "is_failed"),
    [
        (BrokenImage("Jane Doe"), "broken_image", False),
        (Unavailable("Jane Doe"), "unavailable", True),
        (ValueError("Jane Doe"), "unexpected", True),
        (asyncio.CancelledError("Jane Doe"), "cancelled", False),
    ],
)
def test_error_is_exported_as_its_code(receiver, error, code, is_failed):
    with pytest.raises(type(error)), spans.begin("predict"):
        raise error
    exported = sent(receiver)["predict"]
    assert (exported.attributes, exported.is_failed) == ({"code": code}, is_failed)
    assert b"Jane" not in b"".join(receiver.bodies)


async def test_decorated_function_has_span_in_its_task(receiver):
    @spans.traced("admit")
    async def admit(number: int) -> int:
        await asyncio.sleep(0)
        spans.annotate(attempts=number)
        return number

    async def request(number: int) -> int:
        with spans.begin("predict"):
            return await admit(number)

    assert await asyncio.gather(*map(request, range(20))) == list(range(20))
    spans.stop()
    admitted = [span for span in receiver.spans if span.name == "admit"]
    assert sorted(span.attributes["attempts"] for span in admitted) == list(range(20))
    assert len({span.trace_id for span in admitted}) == 20


def test_ended_span_takes_nothing_more(receiver, caplog):
    with spans.begin("predict"):
        span = spans.current()
    span.set(status=200)
    span.fail()
    span.end()
    exported = sent(receiver)["predict"]
    assert (exported.attributes, exported.is_failed) == ({}, False)
    assert caplog.records == []


def test_log_line_of_traced_request_has_trace_id(receiver):
    assert spans.add_trace_id(None, "info", {"event": "x"}) == {"event": "x"}
    with spans.begin("predict", f"00-{TRACE}-{PARENT}-01"), spans.span("inspect"):
        assert spans.add_trace_id(None, "info", {}) == {"trace_id": TRACE}


def test_spans_beyond_queue_are_dropped_if_receiver_hangs(receiver):
    receiver.holds = True
    with spans.begin("predict"):
        pass
    receiver.await_span("predict")  # the exporter waits for an answer from now on
    for _ in range(6000):
        with spans.begin("inspect"):
            pass
    receiver.release.set()
    spans.stop()
    assert 2048 <= len(receiver.spans) <= 2048 + 2 * 512 + 1


def test_stop_does_not_wait_for_held_receiver(receiver):
    receiver.holds = True
    for _ in range(3000):
        with spans.begin("predict"):
            pass
    spans.stop()
    assert not receiver.release.is_set()
    assert len(receiver.spans) < 3000


def test_receiver_that_is_down_is_logged_once(caplog, monkeypatch):
    monkeypatch.setattr(ONE_LINE_A_MINUTE, "quiet_until", 0.0)
    with otlp_receiver() as receiver:
        url = receiver.url
    spans.start(url, "a service")
    logger = logging.getLogger(OTLPSpanExporter.__module__)
    with caplog.at_level("WARNING", logger.name):
        for _ in range(1500):
            with spans.begin("predict"):
                pass
        spans.stop()
    assert [record.name for record in caplog.records].count(logger.name) == 1


def test_disabled_sdk_traces_nothing(monkeypatch):
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    spans.start("http://127.0.0.1:9", "a service")
    with spans.begin("predict"):
        assert spans.current() is None
    spans.stop()


def test_surroundings_add_nothing_to_resource(monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "host.name=secret-host")
    with otlp_receiver() as receiver:
        spans.start(receiver.url, "a service")
        with spans.begin("predict"):
            pass
        spans.stop()
    assert receiver.spans
    assert b"secret-host" not in b"".join(receiver.bodies)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("collector:4318", "http:// or https://"),
        ("ftp://collector", "http:// or https://"),
        ("http://", "http:// or https://"),
        ("http://collector:99999", "http:// or https://"),
        ("http://[::1", "http:// or https://"),
        ("http://collector?a=b", "http:// or https://"),
        ("http://user:secret@collector", "OTEL_EXPORTER_OTLP_HEADERS"),
    ],
)
def test_endpoint_that_is_no_receiver_is_refused(url, reason):
    with pytest.raises(spans.TracingError, match=re.escape(reason)) as raised:
        spans.check_endpoint(url)
    assert "secret" not in str(raised.value)


def test_endpoint_without_extra_names_extra(monkeypatch):
    hide_extra(monkeypatch)
    with pytest.raises(spans.TracingError, match=re.escape("lesionserve[tracing]")):
        spans.check_endpoint("http://collector:4318")
