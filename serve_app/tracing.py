import functools
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from pipeline.tracing import spans
from pipeline.tracing.spans import AsyncFunction

if TYPE_CHECKING:
    from pipeline.tracing.sdk import Span

P = ParamSpec("P")
T = TypeVar("T")

_KEYWORD = "traceparent"


def endpoint_of_environment() -> str | None:
    """Return the URL to which spans are sent; None where tracing is off.

    Raise TracingError, which names the variable, where they cannot be sent there.
    """
    url = os.environ.get(spans.ENDPOINT)
    try:
        return None if url is None else spans.check_endpoint(url)
    except spans.TracingError as error:
        raise spans.TracingError(f"{spans.ENDPOINT}: {error}") from None


def start_tracing() -> None:
    """Send the spans of this replica where its environment says. Raise TracingError."""
    endpoint = endpoint_of_environment()
    if endpoint is not None and not spans.is_on():
        spans.start(endpoint, "lesionserve-inference", _replica_id())


def stage(name: str) -> Callable[[AsyncFunction[P, T]], AsyncFunction[P, T]]:
    """Open a span around each call of a stage, where its request is traced.

    A stage in a replica of its own gets the trace by the keyword of `trace_arguments`.
    """

    def decorate(function: AsyncFunction[P, T]) -> AsyncFunction[P, T]:
        @functools.wraps(function)
        async def call(*args: P.args, **kwargs: P.kwargs) -> T:
            traceparent = kwargs.pop(_KEYWORD, None)
            with spans.span(name) if traceparent is None else spans.begin(name, str(traceparent)):
                return await function(*args, **kwargs)

        return call

    return decorate


def trace_arguments() -> dict[str, str]:
    """Return the keyword arguments that make a stage's span part of the trace: none without one.

    A replica of an earlier version, which does not know the keyword, serves on during a roll.
    """
    traceparent = spans.traceparent()
    return {} if traceparent is None else {_KEYWORD: traceparent}


@contextmanager
def batch_spans(waits: "Sequence[Span | None]") -> Iterator[None]:
    """End the spans of the images that waited for a batch, and open one beside each for its run."""
    runs = []
    for wait in waits:
        if wait is not None and wait.parent is not None:
            wait.end()
            runs.append(wait.parent.child("model"))
    try:
        yield
    finally:
        for run in runs:
            run.set(batch_images=len(waits))
            run.end()


def _replica_id() -> str | None:
    # Here, since the driver checks the endpoint before it imports Ray.
    from ray import serve
    from ray.serve.exceptions import RayServeException

    try:
        return serve.get_replica_context().replica_id.unique_id
    except RayServeException:
        return None
