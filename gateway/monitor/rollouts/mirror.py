import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from gateway.monitor.rollouts import metrics
from gateway.monitor.rollouts.route import Route
from gateway.predict.forwarding import Forwarded, Sender
from gateway.predict.image_request import ImageRequest

logger = structlog.stdlib.get_logger(__name__)

# Of one gateway process: images that are sent to the other model at once, and that wait for it.
_IN_FLIGHT = 2
_WAITING = 8
_WAITING_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Job:
    """An image to be compared, whose client has its answer; None where it left without one."""

    route: Route
    request: ImageRequest
    sender: Sender
    forwarded: Forwarded | None


class Mirror:
    """A bounded queue of images for the other model. What finds no room in it is dropped."""

    def __init__(self, compare: Callable[[Job], Awaitable[None]]) -> None:
        self._compare = compare
        self._jobs: asyncio.Queue[Job] = asyncio.Queue(_WAITING)
        self._waiting_bytes = 0

    def put(self, job: Job) -> None:
        """Add an image, or drop it where the queue is full; it waits for nothing."""
        size = len(job.request.image)
        if self._jobs.full() or self._waiting_bytes + size > _WAITING_BYTES:
            metrics.count(metrics.DROPPED)
            return
        self._waiting_bytes += size
        self._jobs.put_nowait(job)

    async def drained(self) -> None:
        """Return once every image has been compared that was put into the queue."""
        await self._jobs.join()

    async def run(self) -> None:
        """Compare images, a few at a time, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(_IN_FLIGHT):
                group.create_task(self._work())

    async def _work(self) -> None:
        while True:
            job = await self._jobs.get()
            self._waiting_bytes -= len(job.request.image)
            try:
                await self._compare(job)
            except Exception:
                # After any error the next image is compared.
                logger.exception("an image could not be compared", rollout=job.route.rollout)
            self._jobs.task_done()
            del job  # the image, while nothing comes
