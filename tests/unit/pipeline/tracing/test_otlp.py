"""The allow-list: what leaves the process of a span, whoever wrote what into it."""

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    set_span_in_context,
)

from pipeline.tracing.otlp import ATTRIBUTES, PREFIX, allowed

SECRET = "Jane Doe 1970"
OURS = Resource({"service.name": "ours"})


def full_span(name: str = "predict", **attributes: object) -> ReadableSpan:
    """A span with a secret in every place of it, and attributes of ours."""
    state = TraceState([("vendor", "JaneDoe1970")])
    parent = SpanContext(7, 8, is_remote=True, trace_flags=TraceFlags(1), trace_state=state)
    tracer = TracerProvider(ALWAYS_ON, Resource({"host.name": SECRET})).get_tracer(SECRET, SECRET)
    span = tracer.start_span(
        name,
        set_span_in_context(NonRecordingSpan(parent)),
        SpanKind.SERVER,
        {SECRET: 1, "http.url": SECRET, f"{PREFIX}file_name": SECRET, "code": SECRET},
        [Link(parent, {"name": SECRET})],
    )
    for key, value in attributes.items():
        span.set_attribute(PREFIX + key, value)
    span.add_event(SECRET, {"text": SECRET})
    span.record_exception(ValueError(SECRET))
    span.set_status(Status(StatusCode.ERROR, SECRET))
    span.end()
    return span


def exported(span: ReadableSpan) -> bytes:
    return encode_spans([allowed(span, OURS)]).SerializeToString()


def test_secret_is_in_span_before_export():
    raw = encode_spans([full_span()]).SerializeToString()
    assert raw.count(SECRET.encode()) > 9
    assert b"JaneDoe1970" in raw


@pytest.mark.parametrize("name", ["predict", SECRET])
def test_nothing_but_allow_list_is_exported(name):
    raw = exported(full_span(name, outcome="failed"))
    assert b"Jane" not in raw
    assert b"lesionserve.outcome" in raw


def test_times_ids_kind_and_failure_are_exported():
    span = full_span()
    copy = allowed(span, OURS)
    assert (copy.context.trace_id, copy.parent.span_id) == (7, 8)
    assert (copy.start_time, copy.end_time) == (span.start_time, span.end_time)
    assert (copy.kind, copy.status.status_code) == (SpanKind.SERVER, StatusCode.ERROR)
    assert copy.resource.attributes == {"service.name": "ours"}


def test_unknown_name_of_span_is_exported_as_other():
    assert allowed(full_span(SECRET), OURS).name == "other"


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_attribute_of_wrong_type_is_not_exported(name):
    wrong = [SECRET] if ATTRIBUTES[name] is str else SECRET
    assert not allowed(full_span(**{name: wrong}), OURS).attributes
    assert b"Jane" not in exported(full_span(**{name: wrong}))


def test_true_is_no_number():
    assert not allowed(full_span(attempts=True), OURS).attributes


def test_long_text_is_cut():
    copy = allowed(full_span(model="m" * 500), OURS)
    assert copy.attributes == {"lesionserve.model": "m" * 100}
