import asyncio
import threading

import pytest

from pipeline.errors import BrokenImage, Unavailable
from serve_app.status import DeploymentState, last_line
from serve_app.watch import StageWatch

RUNS = DeploymentState(is_rolling=False, running=1, is_failing=False, reason="")
STARTS = DeploymentState(is_rolling=False, running=0, is_failing=False, reason="")
FAILS = DeploymentState(is_rolling=False, running=0, is_failing=True, reason="model.pth is damaged")


class Controller:
    """Tells the state of one stage, and counts how often it was asked."""

    def __init__(self, state: DeploymentState) -> None:
        self.state = state
        self.looks = 0

    def __call__(self) -> dict[str, DeploymentState]:
        self.looks += 1
        return {"Predictor": self.state}


def watch_of(controller: Controller) -> StageWatch:
    return StageWatch(controller, patience_s=0.01)


async def answer_after(event: asyncio.Event) -> str:
    await event.wait()
    return "answer"


async def now(value: str) -> str:
    return value


async def test_watch_does_not_ask_controller_for_quick_calls():
    controller = Controller(FAILS)
    watch = StageWatch(controller, patience_s=60)
    assert await watch.result(now("answer")) == "answer"
    assert controller.looks == 0


async def test_watch_passes_on_error_of_call():
    async def fail() -> str:
        raise BrokenImage("The image is damaged.")

    with pytest.raises(BrokenImage):
        await watch_of(Controller(RUNS)).result(fail())


@pytest.mark.parametrize("state", [RUNS, STARTS])
async def test_watch_waits_for_stage_that_may_start(state):
    controller, event = Controller(state), asyncio.Event()
    call = asyncio.create_task(watch_of(controller).result(answer_after(event)))
    while controller.looks < 3:
        await asyncio.sleep(0.01)
    event.set()
    assert await call == "answer"


async def test_watch_refuses_call_that_waits_for_failing_stage():
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    with pytest.raises(Unavailable, match="cannot be loaded"):
        await watch_of(Controller(FAILS)).result(hang())
    assert cancelled.is_set()


async def test_watch_refuses_at_once_until_stage_runs(monkeypatch):
    monkeypatch.setattr("serve_app.watch._LOOK_EVERY_S", 0.01)
    controller = Controller(FAILS)
    watch = watch_of(controller)
    with pytest.raises(Unavailable):
        await watch.result(answer_after(asyncio.Event()))
    with pytest.raises(Unavailable):
        await watch.result(now("never asked"))
    controller.state = RUNS
    for _ in range(1000):
        try:
            assert await watch.result(now("answer")) == "answer"
            return
        except Unavailable:
            await asyncio.sleep(0.01)
    raise AssertionError("it refuses for ever")


@pytest.mark.parametrize("error", [ValueError("a status that Ray cannot read"), KeyError("other")])
async def test_watch_finds_recovery_after_error_of_controller(monkeypatch, error):
    monkeypatch.setattr("serve_app.watch._LOOK_EVERY_S", 0.01)
    controller, errors = Controller(FAILS), [error]

    def read() -> dict[str, DeploymentState]:
        if controller.looks and errors:
            raise errors.pop()
        return controller()

    watch = StageWatch(read, patience_s=0.01)
    with pytest.raises(Unavailable):
        await watch.result(answer_after(asyncio.Event()))
    while errors:
        await asyncio.sleep(0.01)
    controller.state = RUNS
    for _ in range(1000):
        try:
            assert await watch.result(now("answer")) == "answer"
            return
        except Unavailable:
            await asyncio.sleep(0.01)
    raise AssertionError("it refuses for ever")


async def test_watch_asks_controller_once_for_all_waiting_calls():
    gate, controller = threading.Event(), Controller(FAILS)

    def read() -> dict[str, DeploymentState]:
        gate.wait(30)
        return controller()

    watch = StageWatch(read, patience_s=0.01)
    calls = [asyncio.create_task(watch.result(answer_after(asyncio.Event()))) for _ in range(20)]
    await asyncio.sleep(0.1)
    gate.set()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable}
    assert controller.looks == 1


async def test_watch_keeps_waiting_while_controller_is_silent():
    gate, event = threading.Event(), asyncio.Event()

    def read() -> dict[str, DeploymentState]:
        gate.wait(30)
        return {}

    call = asyncio.create_task(StageWatch(read, patience_s=0.01).result(answer_after(event)))
    await asyncio.sleep(0.1)
    event.set()
    assert await call == "answer"
    gate.set()


async def test_cancelling_watch_cancels_call():
    cancelled = asyncio.Event()

    async def hang() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    call = asyncio.create_task(watch_of(Controller(RUNS)).result(hang()))
    await asyncio.sleep(0.05)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    assert cancelled.is_set()


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("Traceback:\n  file\npipeline.errors.BundleError: it is damaged\n", "it is damaged"),
        ("Upscaling from 1 to 2 replicas.", "Upscaling from 1 to 2 replicas."),
        ("", ""),
    ],
)
def test_last_line_is_error_of_traceback(message, line):
    assert last_line(message) == line
