import asyncio
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.errors import Overloaded
from serve_app.batching import Batcher
from tests.unit.serve_app.recording import RecordingMetrics


class Gate:
    """A batched function that works only when it is let, and remembers its batches."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.entered = threading.Semaphore(0)
        self._permits = threading.Semaphore(0)

    def __call__(self, items: Sequence[int]) -> list[int]:
        self.batches.append(list(items))
        self.entered.release()
        assert self._permits.acquire(timeout=10), "the test never opened the gate"
        if any(item < 0 for item in items):
            raise ValueError(f"cannot take {min(items)}")
        return [item * 10 for item in items]

    def open(self, times: int = 1) -> None:
        self._permits.release(times)

    async def until_entered(self) -> None:
        assert await asyncio.to_thread(self.entered.acquire, timeout=10)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as executor:
        yield executor


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
async def batcher(gate: Gate, pool: ThreadPoolExecutor) -> AsyncIterator[Batcher[int, int]]:
    made = Batcher(gate, pool, max_batch_size=3, max_waiting=5)
    yield made
    gate.open(100)
    await made.close()


async def submit(batcher: Batcher[int, int], *items: int) -> list[asyncio.Task[int]]:
    """Submits in order and returns once every item is in the queue."""
    tasks = [asyncio.create_task(batcher.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def occupy(batcher: Batcher[int, int], gate: Gate, item: int = 1) -> asyncio.Task[int]:
    """Puts one item into the function, so that whatever follows has to wait."""
    [task] = await submit(batcher, item)
    await gate.until_entered()
    return task


async def test_single_item_starts_at_once(batcher, gate):
    task = await occupy(batcher, gate, 7)
    gate.open()
    assert await task == 70
    assert gate.batches == [[7]]


async def test_items_that_arrive_during_batch_form_next_batch(batcher, gate):
    first = await occupy(batcher, gate, 1)
    rest = await submit(batcher, 2, 3, 4)
    gate.open(2)
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40]
    assert gate.batches == [[1], [2, 3, 4]]


async def test_batch_has_at_most_max_size_and_keeps_order(batcher, gate):
    first = await occupy(batcher, gate, 1)
    rest = await submit(batcher, 2, 3, 4, 5, 6)
    gate.open(3)
    assert await asyncio.gather(first, *rest) == [10, 20, 30, 40, 50, 60]
    assert gate.batches == [[1], [2, 3, 4], [5, 6]]


async def test_item_cancelled_in_queue_is_not_processed(batcher, gate):
    first = await occupy(batcher, gate, 1)
    second, third = await submit(batcher, 2, 3)
    second.cancel()
    await asyncio.sleep(0)
    gate.open(2)
    assert await asyncio.gather(first, third) == [10, 30]
    assert gate.batches == [[1], [3]]
    assert second.cancelled()


async def test_cancelled_item_frees_its_place_in_queue(batcher, gate):
    await occupy(batcher, gate)
    waiting = await submit(batcher, 2, 3, 4, 5, 6)
    waiting[0].cancel()
    await asyncio.sleep(0)
    [late] = await submit(batcher, 7)
    gate.open(3)
    assert await late == 70


async def test_item_cancelled_in_batch_does_not_affect_others(batcher, gate):
    first = await occupy(batcher, gate, 1)
    second, third = await submit(batcher, 2, 3)
    gate.open()
    await first
    await gate.until_entered()
    second.cancel()
    gate.open()
    assert await third == 30
    with pytest.raises(asyncio.CancelledError):
        await second


async def test_bad_item_does_not_fail_rest_of_batch(batcher, gate):
    first = await occupy(batcher, gate, 1)
    rest = await submit(batcher, 2, -3, 4)
    gate.open(5)
    results = await asyncio.gather(first, *rest, return_exceptions=True)
    assert results[:2] == [10, 20]
    assert isinstance(results[2], ValueError)
    assert results[3] == 40
    assert gate.batches == [[1], [2, -3, 4], [2], [-3], [4]]


async def test_item_cancelled_before_retry_is_skipped(batcher, gate):
    first = await occupy(batcher, gate, 1)
    bad, gone = await submit(batcher, -2, 3)
    gate.open()
    await first
    await gate.until_entered()
    gone.cancel()
    gate.open(2)
    with pytest.raises(ValueError, match="cannot take -2"):
        await bad
    assert gate.batches == [[1], [-2, 3], [-2]]


async def test_single_failing_item_is_not_retried(batcher, gate):
    task = await occupy(batcher, gate, -1)
    gate.open()
    with pytest.raises(ValueError, match="cannot take -1"):
        await task
    assert gate.batches == [[-1]]


async def test_batcher_continues_after_failure(batcher, gate):
    bad = await occupy(batcher, gate, -1)
    [good] = await submit(batcher, 2)
    gate.open(2)
    with pytest.raises(ValueError, match="cannot take"):
        await bad
    assert await good == 20


async def test_full_queue_refuses_item(batcher, gate):
    await occupy(batcher, gate)
    await submit(batcher, 2, 3, 4, 5, 6)
    with pytest.raises(Overloaded):
        await batcher.submit(7)


async def test_close_finishes_accepted_items_and_refuses_new(batcher, gate):
    first = await occupy(batcher, gate, 1)
    [second] = await submit(batcher, 2)
    closing = asyncio.create_task(batcher.close())
    await asyncio.sleep(0)
    with pytest.raises(Overloaded, match="shutting down"):
        await batcher.submit(3)
    gate.open(2)
    await closing
    assert await asyncio.gather(first, second) == [10, 20]


async def test_close_of_idle_batcher_returns(pool):
    await Batcher(list, pool, max_batch_size=1, max_waiting=1).close()


async def test_missing_result_fails_batch(pool):
    batcher: Batcher[int, int] = Batcher(lambda items: [], pool, max_batch_size=2, max_waiting=2)
    with pytest.raises(AssertionError, match="answer each item once"):
        await batcher.submit(1)
    await batcher.close()


async def test_stop_iteration_does_not_hang_caller(pool):
    batcher: Batcher[int, int] = Batcher(
        lambda items: [next(iter([]))], pool, max_batch_size=2, max_waiting=2
    )
    with pytest.raises(RuntimeError, match="StopIteration"):
        await batcher.submit(1)
    await batcher.close()


async def test_busy_for_measures_running_batch(batcher, gate):
    assert batcher.busy_for() == 0
    task = await occupy(batcher, gate)
    assert batcher.busy_for() > 0
    gate.open()
    await task
    assert batcher.busy_for() == 0


async def test_concurrent_items_get_one_result_each(pool):
    calls: list[int] = []

    def remember(items: Sequence[int]) -> list[int]:
        calls.extend(items)
        return [-item for item in items]

    batcher = Batcher(remember, pool, max_batch_size=4, max_waiting=100)
    answers = await asyncio.gather(*(batcher.submit(item) for item in range(100)))
    await batcher.close()
    assert answers == [-item for item in range(100)]
    assert calls == list(range(100))


async def start_job(batcher: Batcher[int, int], name: str, ran: list[str]) -> asyncio.Task[str]:
    def job() -> str:
        ran.append(name)
        return name

    task = asyncio.create_task(batcher.run_when_idle(job))
    await asyncio.sleep(0)
    return task


async def test_job_runs_at_once_in_idle_pool(batcher, pool):
    thread = await batcher.run_when_idle(threading.get_ident)
    assert thread == pool.submit(threading.get_ident).result()


async def test_job_waits_until_no_item_waits(batcher, gate):
    first = await occupy(batcher, gate, 1)
    ran: list[str] = []
    job = await start_job(batcher, "job", ran)
    rest = await submit(batcher, 2, 3, 4, 5, 6)
    gate.open(2)
    await asyncio.gather(first, *rest[:3])
    assert ran == []
    gate.open()
    assert await job == "job"
    assert [task.done() for task in rest] == [True] * 5


async def test_item_waits_for_one_job_at_most(batcher, gate):
    running, end, ran = threading.Event(), threading.Event(), []

    def long_job() -> None:
        running.set()
        end.wait(10)

    first = asyncio.create_task(batcher.run_when_idle(long_job))
    await asyncio.to_thread(running.wait, 10)
    second = await start_job(batcher, "second", ran)
    [item] = await submit(batcher, 7)
    end.set()
    await gate.until_entered()
    assert (first.done(), ran) == (True, [])
    gate.open()
    assert await item == 70
    assert await second == "second"


async def test_error_of_job_reaches_its_caller_alone(batcher, gate):
    def broken() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await batcher.run_when_idle(broken)
    task = await occupy(batcher, gate, 1)
    gate.open()
    assert await task == 10


async def test_job_of_cancelled_caller_does_not_run(batcher, gate):
    first, ran = await occupy(batcher, gate), []
    job = await start_job(batcher, "gone", ran)
    job.cancel()
    gate.open()
    await first
    assert await batcher.run_when_idle(lambda: "next") == "next"
    assert ran == []


async def test_close_refuses_waiting_and_new_jobs(batcher, gate):
    first, ran = await occupy(batcher, gate), []
    job = await start_job(batcher, "job", ran)
    closing = asyncio.create_task(batcher.close())
    gate.open()
    await asyncio.gather(first, closing)
    for refused in (job, batcher.run_when_idle(lambda: None)):
        with pytest.raises(Overloaded, match="shutting down"):
            await refused
    assert ran == []


async def test_busy_for_measures_running_job(batcher):
    busy = await batcher.run_when_idle(batcher.busy_for)
    assert busy > 0
    assert batcher.busy_for() == 0


async def test_batcher_reports_batches_and_queue(gate, pool):
    metrics = RecordingMetrics()
    batcher = Batcher(gate, pool, max_batch_size=2, max_waiting=5, metrics=metrics)
    first = await occupy(batcher, gate, 1)
    rest = await submit(batcher, 2, 3, 4)
    rest[2].cancel()
    gate.open(2)
    await asyncio.gather(first, *rest[:2])
    assert [len(waited) for waited in metrics.batches] == [1, 2]
    assert all(seconds >= 0 for waited in metrics.batches for seconds in waited)
    assert metrics.waiting == [1, 0, 1, 2, 3, 2, 0]


@pytest.fixture
async def double(gate: Gate) -> AsyncIterator[Batcher[int, int]]:
    """A batcher that runs two batches at a time."""
    with ThreadPoolExecutor(2) as pool:
        made = Batcher(gate, pool, max_batch_size=2, max_waiting=9, max_running=2)
        yield made
        gate.open(100)
        await made.close()


async def test_second_item_starts_while_first_runs(double, gate):
    first, second = await occupy(double, gate, 1), await occupy(double, gate, 2)
    gate.open(2)
    assert await asyncio.gather(first, second) == [10, 20]
    assert gate.batches == [[1], [2]]


async def test_items_beyond_running_batches_share_next_one(double, gate):
    running = [await occupy(double, gate, 1), await occupy(double, gate, 2)]
    rest = await submit(double, 3, 4, 5)
    gate.open(4)
    assert await asyncio.gather(*running, *rest) == [10, 20, 30, 40, 50]
    assert sorted(gate.batches[2:]) == [[3, 4], [5]]


async def test_failure_of_one_batch_leaves_other_running(double, gate):
    first, bad = await occupy(double, gate, 1), await occupy(double, gate, -2)
    gate.open(2)
    with pytest.raises(ValueError, match="-2"):
        await bad
    assert await first == 10


async def test_job_runs_beside_batch_when_no_item_waits(double, gate):
    running = await occupy(double, gate, 1)
    assert await double.run_when_idle(lambda: "done") == "done"
    assert not running.done()
    gate.open()
    assert await running == 10


async def test_close_waits_for_all_running_batches(double, gate):
    running = [await occupy(double, gate, 1), await occupy(double, gate, 2)]
    closing = asyncio.create_task(double.close())
    await asyncio.sleep(0)
    gate.open(2)
    await closing
    assert [task.result() for task in running] == [10, 20]


async def test_busy_for_is_that_of_oldest_batch(double, gate):
    await occupy(double, gate, 1)
    await asyncio.sleep(0.05)
    await occupy(double, gate, 2)
    assert double.busy_for() >= 0.05
    gate.open(2)
