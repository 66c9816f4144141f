"""The export of spans by OTLP over HTTP, and the allow-list of what a span may tell.

An image is a patient's, and a client writes the names, ids and headers of its requests. So a span
leaves the process only in the form that `allowed` gives it, whoever wrote what into it.
"""

import logging
from collections.abc import Sequence
from time import monotonic

import requests
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, Status

PREFIX = "lesionserve."

# The only names of spans. A span of another name is exported as "other".
NAMES = frozenset(
    {
        # of the gateway,
        *("predict", "authenticate", "authorise", "admit", "read_body", "inspect"),
        *("upstream_attempt", "record"),
        # and of the graph.
        *("ingress", "preprocess", "predictor", "batch_wait", "model", "postprocess"),
    }
)
# The only attributes, and the type of each. An attribute of another name or type is not exported.
ATTRIBUTES: dict[str, type] = {
    "outcome": str,  # the state of the request's record
    "status": int,  # of HTTP
    "code": str,  # of an error, as clients see it
    "attempts": int,
    "replayed": bool,
    "image_format": str,
    "image_pixels": int,
    "model": str,
    "model_version": str,
    "batch_images": int,
}
_MAX_CHARACTERS = 100

TIMEOUT_S = 2.0  # for one export with its retries
CLOSING_S = 2.0  # for the spans that are left when the process stops
_QUIET_S = 60.0


class OneLineAMinute(logging.Filter):
    """A filter for the exporter's log, which repeats itself while the receiver is down."""

    def __init__(self) -> None:
        super().__init__()
        self.quiet_until = 0.0

    def filter(self, _: logging.LogRecord) -> bool:
        if monotonic() < self.quiet_until:
            return False
        self.quiet_until = monotonic() + _QUIET_S
        return True


ONE_LINE_A_MINUTE = OneLineAMinute()


class AllowListExporter(SpanExporter):
    """Send spans to the receiver at `endpoint`, each in its allowed form."""

    def __init__(self, endpoint: str, service: str, instance: str | None) -> None:
        session = requests.Session()
        session.trust_env = False  # no proxy, and no credentials from a .netrc
        url = f"{endpoint.rstrip('/')}/v1/traces"
        self._exporter = OTLPSpanExporter(url, timeout=TIMEOUT_S, session=session)
        resource = {"service.name": service}
        if instance is not None:
            resource["service.instance.id"] = instance
        self._resource = Resource(resource)
        self._ends_at = float("inf")
        logging.getLogger(OTLPSpanExporter.__module__).addFilter(ONE_LINE_A_MINUTE)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        if monotonic() > self._ends_at:
            return SpanExportResult.FAILURE
        return self._exporter.export([allowed(span, self._resource) for span in spans])

    def close_soon(self) -> None:
        """Drop the spans that are not sent within CLOSING_S from now."""
        self._ends_at = monotonic() + CLOSING_S

    def shutdown(self) -> None:
        self._exporter.shutdown()  # type: ignore[no-untyped-call]


def allowed(span: ReadableSpan, resource: Resource) -> ReadableSpan:
    """Return a copy of the span that holds its times, its ids and what is on the allow-list.

    It has no events, so no exception's message or traceback, no links, no description of its
    status, and no trace state.
    """
    attributes = span.attributes or {}
    return ReadableSpan(
        name=span.name if span.name in NAMES else "other",
        context=_ids(span.context),
        parent=_ids(span.parent),
        resource=resource,
        attributes={
            PREFIX + name: value[:_MAX_CHARACTERS] if isinstance(value, str) else value
            for name, kind in ATTRIBUTES.items()
            if type(value := attributes.get(PREFIX + name)) is kind
        },
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
    )


def _ids(context: SpanContext | None) -> SpanContext | None:
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)
