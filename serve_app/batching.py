import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Generic, TypeVar

from pipeline.errors import Overloaded
from pipeline.tracing.spans import open_child
from serve_app.threads import in_thread
from serve_app.tracing import batch_spans

if TYPE_CHECKING:
    from pipeline.tracing.sdk import Span

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    result: asyncio.Future[R]
    wait: "Span | None" = field(default_factory=partial(open_child, "batch_wait"))


class Batcher(Generic[T, R]):
    """A queue whose items are processed in batches, one batch at a time.

    A batch is formed when the previous one has ended: an item that arrives alone starts at once,
    and items that arrive meanwhile share the next batch. There is no timer. Each item gets its own
    value or its own error; an item whose caller was cancelled gets none.
    """

    def __init__(
        self,
        function: Callable[[Sequence[T]], Sequence[R]],
        pool: Executor,
        *,
        max_batch_size: int,
        max_waiting: int,
    ) -> None:
        """Run `function` in `pool`; it returns one result for each item, in the same order."""
        self._function = function
        self._pool = pool
        self._max_batch_size = max_batch_size
        self._max_waiting = max_waiting
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._arrival = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._busy_since: float | None = None

    async def submit(self, item: T) -> R:
        """Return the result for `item`. Raise Overloaded where the queue is full or closed."""
        if self._closed:
            raise Overloaded("The service is shutting down.")
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded("Too many images are waiting for the model.")
        entry: _Waiting[T, R] = _Waiting(item, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._wake()
        try:
            return await entry.result
        except asyncio.CancelledError:
            # A cancelled item that is in no batch yet leaves its place in the queue.
            if entry in self._waiting:
                self._waiting.remove(entry)
            raise

    async def close(self) -> None:
        """Admit no more items, and return when all admitted ones have their results."""
        self._closed = True
        if self._task is not None:
            self._arrival.set()
            await self._task

    def busy_for(self) -> float:
        """Return for how many seconds the current batch has been running; 0 without one."""
        return 0.0 if self._busy_since is None else monotonic() - self._busy_since

    def _wake(self) -> None:
        if self._task is None:
            # In a context of its own: the task outlives the request that starts it.
            self._task = asyncio.create_task(self._run(), name="batcher", context=Context())
        self._arrival.set()

    async def _run(self) -> None:
        while True:
            while not self._waiting:
                if self._closed:
                    return
                self._arrival.clear()
                await self._arrival.wait()
            await self._process(self._next_batch())

    def _next_batch(self) -> list[_Waiting[T, R]]:
        size = min(len(self._waiting), self._max_batch_size)
        return [self._waiting.popleft() for _ in range(size)]

    async def _process(self, batch: list[_Waiting[T, R]]) -> None:
        outcome = await self._outcome(batch)
        if isinstance(outcome, BaseException) and len(batch) > 1:
            # One bad image must not fail the others: run each by itself.
            for entry in batch:
                if not entry.result.done():
                    await self._process([entry])
            return
        for position, entry in enumerate(batch):
            if entry.result.done():
                continue
            if isinstance(outcome, BaseException):
                entry.result.set_exception(outcome)
            else:
                entry.result.set_result(outcome[position])

    async def _outcome(self, batch: list[_Waiting[T, R]]) -> Sequence[R] | BaseException:
        self._busy_since = monotonic()
        run = asyncio.ensure_future(in_thread(self._pool, self._checked, batch))
        with batch_spans([entry.wait for entry in batch]):
            await asyncio.wait([run])
        self._busy_since = None
        error = run.exception()
        return run.result() if error is None else error

    def _checked(self, batch: list[_Waiting[T, R]]) -> Sequence[R]:
        results = self._function([entry.item for entry in batch])
        assert len(results) == len(batch), "the batched function must answer each item once"
        return results
