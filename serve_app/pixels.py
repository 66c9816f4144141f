import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PixelBudget:
    """Bound the pixels of the images that are held decoded at once; the first to ask goes first."""

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._left = max_pixels
        self._queue = asyncio.Lock()
        self._freed = asyncio.Event()

    @asynccontextmanager
    async def take(self, pixels: int) -> AsyncIterator[None]:
        """Wait until so many pixels are left, and hold them; more than there are go alone."""
        pixels = min(pixels, self._max_pixels)
        async with self._queue:
            while self._left < pixels:
                self._freed.clear()
                await self._freed.wait()
            self._left -= pixels
        try:
            yield
        finally:
            self._left += pixels
            self._freed.set()
