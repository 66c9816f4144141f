import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Generic, TypeVar

T = TypeVar("T")

_FRESH_S = 1.0


class Shared(Generic[T]):
    """A question whose answer is shared by all who ask while it is under way, and for a second
    after: so that anybody may ask, as often as they like, and it costs the same."""

    def __init__(self, ask: Callable[[], Awaitable[T]]) -> None:
        self._ask = ask
        self._asked: asyncio.Task[T] | None = None
        self._stale_at = 0.0  # on the monotonic clock

    async def __call__(self) -> T:
        """Raises what the question raises."""
        if self._asked is None or (self._asked.done() and monotonic() >= self._stale_at):
            self._asked = asyncio.create_task(self._answer())
            self._asked.add_done_callback(_noticed)
        return await asyncio.shield(self._asked)

    async def _answer(self) -> T:
        try:
            return await self._ask()
        finally:
            self._stale_at = monotonic() + _FRESH_S


def _noticed(asked: "asyncio.Task[T]") -> None:
    """Its error is told to whoever waits; where nobody does any more, asyncio need not complain."""
    if not asked.cancelled():
        asked.exception()
