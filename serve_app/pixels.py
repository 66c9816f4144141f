import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PixelBudget:
    """A limit on the pixels of all decoded images at once, granted in order of arrival."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._free = max_pixels
        self._queue = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def take(self, pixels: int) -> AsyncIterator[None]:
        """Wait until `pixels` are free, and hold them within the context.

        An image of more pixels than the limit waits until it is the only one.
        """
        pixels = min(pixels, self._max_pixels)
        async with self._queue:
            while self._free < pixels:
                self._freed.clear()
                await self._freed.wait()
            self._free -= pixels
        try:
            yield
        finally:
            self._free += pixels
            self._freed.set()
