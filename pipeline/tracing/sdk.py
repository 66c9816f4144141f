"""Spans of the OpenTelemetry SDK. This module is imported only where tracing is on."""

from typing import Self

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from pipeline.tracing.otlp import PREFIX, AllowListExporter

_QUEUE = 2048  # spans that wait to be sent; further ones push the oldest out
_BATCH = 512
_DELAY_MS = 1000  # a replica that Ray stops has had this long to send its last spans
_LONGEST_TRACEPARENT = 512

_KINDS = {
    "predict": SpanKind.SERVER,
    "ingress": SpanKind.SERVER,
    "upstream_attempt": SpanKind.CLIENT,
}

Value = str | int | bool | None


class Span:
    """An open span. `otlp.ATTRIBUTES` has the attributes that are exported."""

    __slots__ = ("_span", "_tracer", "parent", "root")

    def __init__(self, tracer: trace.Tracer, span: trace.Span, parent: Self | None = None) -> None:
        self._tracer = tracer
        self._span = span
        self.parent = parent
        self.root: Span = self if parent is None else parent.root

    @property
    def is_recording(self) -> bool:
        return self._span.is_recording()

    @property
    def trace_id(self) -> str:
        return trace.format_trace_id(self._span.get_span_context().trace_id)

    @property
    def traceparent(self) -> str:
        """The header of W3C Trace Context that makes the receiver's spans children of this one."""
        context = self._span.get_span_context()
        return f"00-{self.trace_id}-{trace.format_span_id(context.span_id)}-01"

    def child(self, name: str) -> "Span":
        context = trace.set_span_in_context(self._span)
        return Span(self._tracer, _start(self._tracer, name, context), self)

    def set(self, **attributes: Value) -> None:
        """Set the attributes that are not None."""
        if self.is_recording:  # a request that the server cancels may outlive its span
            for name, value in attributes.items():
                if value is not None:
                    self._span.set_attribute(PREFIX + name, value)

    def fail(self) -> None:
        """Mark the span as failed, without a description."""
        if self.is_recording:
            self._span.set_status(StatusCode.ERROR)

    def end(self) -> None:
        if self.is_recording:
            self._span.end()


class Tracer:
    """The traces of one process. Which requests are traced is decided by the callers of `begin`."""

    def __init__(self, endpoint: str, service: str, instance: str | None) -> None:
        self._exporter = AllowListExporter(endpoint, service, instance)
        # Not the global provider: no library that OpenTelemetry instruments writes spans here.
        self._provider = TracerProvider(
            sampler=ALWAYS_ON, resource=Resource({}), shutdown_on_exit=False
        )
        self._provider.add_span_processor(
            BatchSpanProcessor(
                self._exporter,
                max_queue_size=_QUEUE,
                max_export_batch_size=_BATCH,
                schedule_delay_millis=_DELAY_MS,
            )
        )
        self._tracer = self._provider.get_tracer("lesionserve")

    def begin(self, name: str, traceparent: str | None) -> Span:
        """Open the first span of this process in a trace.

        It continues the trace of `traceparent`, or begins a new one where the header is missing or
        malformed. The sampled flag of the header is ignored.
        """
        carrier = {}
        if traceparent is not None and len(traceparent) <= _LONGEST_TRACEPARENT:
            carrier = {"traceparent": traceparent}  # without `tracestate`: a client writes it
        context = TraceContextTextMapPropagator().extract(carrier)
        return Span(self._tracer, _start(self._tracer, name, context))

    def close(self) -> None:
        """Send what is left, for a few seconds at most."""
        self._exporter.close_soon()
        self._provider.shutdown()


def is_sampled(traceparent: str) -> bool:
    """Return whether the header is well formed, and says that its trace is recorded."""
    context = TraceContextTextMapPropagator().extract({"traceparent": traceparent})
    return trace.get_current_span(context).get_span_context().trace_flags.sampled


def _start(tracer: trace.Tracer, name: str, context: Context) -> trace.Span:
    return tracer.start_span(
        name,
        context,
        _KINDS.get(name, SpanKind.INTERNAL),
        record_exception=False,
        set_status_on_exception=False,
    )
