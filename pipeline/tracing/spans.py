"""The spans of a request. Without `start` there are none, and OpenTelemetry is not imported.

A request is traced from the moment that `begin` opens its first span in this process; all code
below opens spans with `span` and `traced`, without asking whether the request is traced.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from pipeline.errors import LesionserveError

if TYPE_CHECKING:
    from pipeline.tracing.sdk import Span, Tracer

P = ParamSpec("P")
T = TypeVar("T")
AsyncFunction = Callable[P, Coroutine[Any, Any, T]]

ENDPOINT = "LESIONSERVE_OTLP_ENDPOINT"

UNTRACED = nullcontext()  # the context of a request that is not traced
_current: ContextVar[Span | None] = ContextVar("span", default=None)
_tracer: Tracer | None = None


class TracingError(ValueError):
    """Tracing cannot be set up. `str(error)` says why."""


class Departure(Exception):
    """The end of a request whose client has left: no failure of its spans."""


def check_endpoint(url: str) -> str:
    """Return the URL of an OTLP receiver that spans can be sent to. Raise TracingError."""
    try:
        parts = urlsplit(url)
        is_origin = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_origin = False
    if not is_origin or parts.query or parts.fragment:
        raise TracingError("the http:// or https:// URL of an OTLP receiver is needed")
    if parts.username is not None or parts.password is not None:
        raise TracingError("no user or password in the URL; use OTEL_EXPORTER_OTLP_HEADERS")
    try:
        from pipeline.tracing import sdk  # noqa: F401
    except ImportError:
        raise TracingError("tracing needs its extra: pip install 'lesionserve[tracing]'") from None
    return url


def start(endpoint: str, service: str, instance: str | None = None) -> None:
    """Send the spans of this process to `endpoint`, with the names of service and process."""
    global _tracer
    from pipeline.tracing.sdk import Tracer

    _tracer = Tracer(endpoint, service, instance)


def stop() -> None:
    """Send the spans that are left; blocks for a few seconds at most."""
    global _tracer
    tracer, _tracer = _tracer, None
    if tracer is not None:
        tracer.close()


def is_on() -> bool:
    return _tracer is not None


def begin(name: str, traceparent: str | None = None) -> AbstractContextManager[None]:
    """Trace the context, as a part of the trace that the header names, or as a trace of its own."""
    if _tracer is None:
        return UNTRACED
    first = _tracer.begin(name, traceparent)
    return _within(first) if first.is_recording else UNTRACED  # OTEL_SDK_DISABLED


def resume(name: str, traceparent: str | None) -> AbstractContextManager[None]:
    """Trace the context where the header comes from a part of lesionserve that traces it."""
    if _tracer is None or traceparent is None:
        return UNTRACED
    from pipeline.tracing.sdk import is_sampled

    return begin(name, traceparent) if is_sampled(traceparent) else UNTRACED


def span(name: str) -> AbstractContextManager[None]:
    """Open a span around the context, where the request is traced."""
    parent = _current.get()
    return UNTRACED if parent is None else _within(parent.child(name))


def traced(name: str) -> Callable[[AsyncFunction[P, T]], AsyncFunction[P, T]]:
    """Open a span around each call of an async function, where the request is traced."""

    def decorate(function: AsyncFunction[P, T]) -> AsyncFunction[P, T]:
        async def call_in_span(*args: P.args, **kwargs: P.kwargs) -> T:
            with span(name):
                return await function(*args, **kwargs)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, T]:
            # Without a span, as fast as the function alone.
            if _current.get() is None:
                return function(*args, **kwargs)
            return call_in_span(*args, **kwargs)

        return call

    return decorate


def current() -> Span | None:
    """Return the open span of a traced request."""
    return _current.get()


def open_child(name: str) -> Span | None:
    """Return a new span of a traced request, which the caller has to end."""
    parent = _current.get()
    return None if parent is None else parent.child(name)


def annotate(**attributes: str | int | bool) -> None:
    """Set attributes of the open span, where the request is traced."""
    if (open_span := _current.get()) is not None:
        open_span.set(**attributes)


def note_error(error: BaseException) -> None:
    """Set the code of an error in the open span, never its text.

    The span fails, unless the client is at fault or has left.
    """
    if (open_span := _current.get()) is None:
        return
    if isinstance(error, LesionserveError):
        code, is_fault = error.code, error.status >= 500
    elif isinstance(error, asyncio.CancelledError | Departure):
        code, is_fault = "cancelled", False
    else:
        code, is_fault = "unexpected", True
    open_span.set(code=code)
    if is_fault:
        open_span.fail()


def traceparent() -> str | None:
    """Return the header that a request of the open span has to carry."""
    open_span = _current.get()
    return None if open_span is None else open_span.traceparent


def add_trace_id(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Add the `trace_id` to a log line of a traced request: a processor of structlog."""
    if (open_span := _current.get()) is not None:
        event["trace_id"] = open_span.trace_id
    return event


@contextmanager
def _within(span: Span) -> Iterator[None]:
    token = _current.set(span)
    try:
        yield
    except BaseException as error:
        note_error(error)
        raise
    finally:
        _current.reset(token)
        span.end()
