import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")

_FRESH_S = 1.0


class SingleFlight(Generic[T]):
    """Share one in-flight call among concurrent callers and cache its result for a second.

    Requests that need no credentials then cost the same, however many there are.
    """

    def __init__(self, function: Callable[[], Awaitable[T]]) -> None:
        self._function = function
        self._call: asyncio.Task[T] | None = None
        self._stale_at = 0.0  # on the monotonic clock

    async def __call__(self) -> T:
        """Return what the function returns; raise what it raises."""
        if self._call is None or (self._call.done() and monotonic() >= self._stale_at):
            self._call = asyncio.create_task(self._run())
            self._call.add_done_callback(_retrieve_exception)
        return await asyncio.shield(self._call)

    async def _run(self) -> T:
        try:
            return await self._function()
        finally:
            self._stale_at = monotonic() + _FRESH_S


def _retrieve_exception(call: "asyncio.Task[T]") -> None:
    """Retrieve an error that no caller waits for, so that asyncio does not log it."""
    if not call.cancelled():
        call.exception()
