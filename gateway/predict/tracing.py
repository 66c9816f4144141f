from contextlib import AbstractContextManager
from random import random

from django.conf import settings

from gateway.audit.models import Record, State
from gateway.http_headers import Headers, values
from pipeline.tracing import spans


def request_trace(headers: Headers) -> AbstractContextManager[None]:
    """Trace a share of the requests, as parts of their clients' traces.

    The share is drawn here, whatever a client's `traceparent` says of sampling and whichever trace
    it names, so that no client decides how much is traced.
    """
    traced = spans.is_on() and random() < settings.TRACE_SHARE  # nosec B311, it guards nothing
    return spans.begin("predict", _traceparent(headers)) if traced else spans.UNTRACED


def describe(record: Record) -> None:
    """Set what the record says of the request and its image in the first span of its trace."""
    if (span := spans.current()) is None:
        return
    span.root.set(
        outcome=str(record.state),
        status=record.status,
        code=record.error_code or None,
        attempts=record.attempts,
        replayed=record.replayed,
        image_format=record.image_format or None,
        image_pixels=record.image_pixels,
        model=record.model_name or None,
        model_version=record.model_version or None,
    )
    if record.state == State.FAILED:
        span.root.fail()


def _traceparent(headers: Headers) -> str | None:
    """Return the value of the header; None where it is missing or repeated."""
    traceparents = values(headers, b"traceparent")
    return traceparents[0] if len(traceparents) == 1 else None
