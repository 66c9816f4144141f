import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Executor
from contextvars import Context
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pipeline.errors import Overloaded
from pipeline.tracing.spans import open_child
from serve_app.metrics import Metrics, NoMetrics
from serve_app.threads import in_thread
from serve_app.tracing import batch_spans

if TYPE_CHECKING:
    from pipeline.tracing.sdk import Span

T = TypeVar("T")
R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting(Generic[T, R]):
    item: T
    result: asyncio.Future[R]
    since: float
    wait: "Span | None" = field(default_factory=partial(open_child, "batch_wait"))


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    function: Callable[[], Any]
    result: asyncio.Future[Any]


@dataclass(slots=True, eq=False)
class _Run:
    """A batch or a job that runs; the task is kept from the garbage collector."""

    since: float
    task: "asyncio.Task[None] | None" = None


class Batcher(Generic[T, R]):
    """A queue whose items are processed in batches, a fixed number of batches at a time.

    A batch is formed when one may start: an item that arrives alone starts at once, and items that
    arrive while others run share the next batch. There is no timer. Each item gets its own value or
    its own error; an item whose caller was cancelled gets none.

    Jobs have a queue of their own, of lower priority: one job starts when no item waits. So an item
    never waits for more than one job.
    """

    def __init__(
        self,
        function: Callable[[Sequence[T]], Sequence[R]],
        pool: Executor,
        *,
        max_batch_size: int,
        max_waiting: int,
        max_running: int = 1,
        metrics: Metrics | None = None,
    ) -> None:
        """Run `function` in `pool`; it returns one result for each item, in the same order.

        max_running: batches and jobs at once, for which the pool has threads.
        """
        self._function = function
        self._pool = pool
        self._max_batch_size = max_batch_size
        self._max_waiting = max_waiting
        self._max_running = max_running
        self._metrics = metrics or NoMetrics()
        self._waiting: deque[_Waiting[T, R]] = deque()
        self._jobs: deque[_Job] = deque()
        self._arrival = asyncio.Event()
        self._closed = False
        self._task: asyncio.Task[None] | None = None
        self._running: set[_Run] = set()

    async def submit(self, item: T) -> R:
        """Return the result for `item`. Raise Overloaded where the queue is full or closed."""
        self._refuse_if_closed()
        if len(self._waiting) >= self._max_waiting:
            raise Overloaded("Too many images are waiting for the model.")
        result = asyncio.get_running_loop().create_future()
        entry: _Waiting[T, R] = _Waiting(item, result, monotonic())
        self._waiting.append(entry)
        self._metrics.images_wait(len(self._waiting))
        self._wake()
        try:
            return await entry.result
        except asyncio.CancelledError:
            # A cancelled item that is in no batch yet leaves its place in the queue.
            if entry in self._waiting:
                self._waiting.remove(entry)
                self._metrics.images_wait(len(self._waiting))
            raise

    async def run_when_idle(self, function: Callable[[], S]) -> S:
        """Run `function` in the pool when no item waits, and return its result.

        While items keep waiting it does not run. Raise Overloaded where the queue is closed.
        """
        self._refuse_if_closed()
        job = _Job(function, asyncio.get_running_loop().create_future())
        self._jobs.append(job)
        self._wake()
        result: S = await job.result
        return result

    async def close(self) -> None:
        """Admit no more items, and return when all admitted ones have their results.

        Jobs that have not started are refused.
        """
        self._closed = True
        for job in self._jobs:
            if not job.result.done():
                job.result.set_exception(Overloaded("The service is shutting down."))
        self._jobs.clear()
        if self._task is not None:
            self._arrival.set()
            await self._task

    def busy_for(self) -> float:
        """Return for how many seconds the oldest batch or job has been running; 0 without one."""
        return max((monotonic() - run.since for run in self._running), default=0.0)

    def _wake(self) -> None:
        if self._task is None:
            # In a context of its own: the task outlives the request that starts it.
            self._task = asyncio.create_task(self._run(), name="batcher", context=Context())
        self._arrival.set()

    def _refuse_if_closed(self) -> None:
        if self._closed:
            raise Overloaded("The service is shutting down.")

    async def _run(self) -> None:
        while self._waiting or self._jobs or self._running or not self._closed:
            if len(self._running) < self._max_running and self._waiting:
                self._start(self._process(self._next_batch()))
            elif len(self._running) < self._max_running and self._jobs:
                self._start(self._process_job(self._jobs.popleft()))
            else:
                self._arrival.clear()
                await self._arrival.wait()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        run = _Run(monotonic())
        self._running.add(run)
        run.task = asyncio.create_task(self._finish(run, work))

    async def _finish(self, run: "_Run", work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        finally:
            self._running.remove(run)
            self._arrival.set()

    def _next_batch(self) -> list[_Waiting[T, R]]:
        size = min(len(self._waiting), self._max_batch_size)
        batch = [self._waiting.popleft() for _ in range(size)]
        now = monotonic()
        self._metrics.batch_starts([now - entry.since for entry in batch])
        self._metrics.images_wait(len(self._waiting))
        return batch

    async def _process_job(self, job: _Job) -> None:
        if job.result.done():  # its caller was cancelled
            return
        outcome = await self._outcome(job.function)
        if job.result.done():
            return
        if isinstance(outcome, BaseException):
            job.result.set_exception(outcome)
        else:
            job.result.set_result(outcome)

    async def _process(self, batch: list[_Waiting[T, R]]) -> None:
        with batch_spans([entry.wait for entry in batch]):
            outcome = await self._outcome(lambda: self._checked(batch))
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

    async def _outcome(self, function: Callable[[], S]) -> S | BaseException:
        """Run `function` in the pool, and return its result or its error."""
        run = asyncio.ensure_future(in_thread(self._pool, function))
        await asyncio.wait([run])
        error = run.exception()
        return run.result() if error is None else error

    def _checked(self, batch: list[_Waiting[T, R]]) -> Sequence[R]:
        results = self._function([entry.item for entry in batch])
        assert len(results) == len(batch), "the batched function must answer each item once"
        return results
