import asyncio
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ray import serve

from pipeline.errors import Unavailable
from serve_app.faults import RAY_ERRORS
from serve_app.logs import serve_logger
from serve_app.status import DeploymentState, read_states
from serve_app.threads import in_thread

_log = serve_logger()

T = TypeVar("T")

# A replica that died is usually replaced within some seconds; requests wait for that.
_PATIENCE_S = 3.0
_LOOK_EVERY_S = 2.0
_LOOK_WITHIN_S = 10.0

ReadStates = Callable[[], Mapping[str, DeploymentState]]


class StageWatch:
    """Refuse requests that would wait for a stage that cannot start.

    Serve holds a call while no replica of its stage runs, and tries for ever to start one. A
    request that has waited for `patience_s` seconds asks Serve's controller for the state of the
    stages. Where a stage fails to start, all requests are refused at once until it runs again.
    """

    def __init__(self, read: ReadStates | None = None, patience_s: float = _PATIENCE_S) -> None:
        self._read = read or _read_own_states
        self._patience_s = patience_s
        # A controller that never answers blocks this one thread only.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="stage watch")
        self._failing: dict[str, str] = {}
        self._look_task: asyncio.Task[None] | None = None
        self._recovery_task: asyncio.Task[None] | None = None

    async def result(self, call: Coroutine[Any, Any, T]) -> T:
        """Return the result of `call`. Raise Unavailable where it waits for a failing stage.

        `call` is cancelled with this coroutine, and when it is refused.
        """
        task = asyncio.create_task(call)
        try:
            self._refuse()
            await asyncio.wait([task], timeout=self._patience_s)
            while not task.done():
                await asyncio.wait([task, self._look()], return_when=asyncio.FIRST_COMPLETED)
                if not task.done():
                    self._refuse()
                    await asyncio.wait([task], timeout=self._patience_s)
            return task.result()
        finally:
            await _cancel(task)

    def _refuse(self) -> None:
        if self._failing:
            self._watch_recovery()
            raise Unavailable("The model cannot be loaded; the log of the service says why.")

    def _look(self) -> "asyncio.Task[None]":
        """Return the task that asks the controller, which all waiting requests share."""
        if self._look_task is None or self._look_task.done():
            self._look_task = asyncio.create_task(self._update())
        return self._look_task

    async def _await_recovery(self) -> None:
        while self._failing:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self._update()

    async def _update(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_WITHIN_S):
                states = await in_thread(self._pool, self._read)
        except (TimeoutError, ValueError, *RAY_ERRORS):
            return  # keep the last known state; ValueError: Ray cannot read a status
        failing = {name: state.reason for name, state in states.items() if state.is_failing}
        for name, reason in failing.items():
            if self._failing.get(name) != reason:
                # In the message: Ray's plain log format drops named values.
                _log.error(f"every request is refused, no replica of {name} starts: {reason}")
        for name in self._failing.keys() - failing.keys():
            _log.warning(f"replicas of {name} start again")
        self._failing = failing
        self._watch_recovery()

    def _watch_recovery(self) -> None:
        if self._failing and (self._recovery_task is None or self._recovery_task.done()):
            self._recovery_task = asyncio.create_task(self._await_recovery())


async def _cancel(task: "asyncio.Task[Any]") -> None:
    if task.done():
        return
    task.cancel()
    await asyncio.wait([task])
    if not task.cancelled():
        task.exception()  # mark it as read, or asyncio logs it


def _read_own_states() -> Mapping[str, DeploymentState]:
    return read_states(serve.get_replica_context().app_name)
