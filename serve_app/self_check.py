import asyncio
from asyncio import sleep
from collections.abc import Awaitable, Callable
from functools import partial
from random import uniform
from time import monotonic
from typing import Protocol, TypeVar

from pipeline.bundle.golden import Agreement
from pipeline.bundle.golden_check import GoldenCase, GoldenCheck
from pipeline.engines.base import Engine
from pipeline.errors import BundleError, OutOfMemory, Unavailable
from serve_app.logs import serve_logger
from serve_app.metrics import Metrics

_log = serve_logger()

S = TypeVar("S")

# Each interval is longer by up to this share, so that replicas do not check at the same time.
_JITTER = 0.1
# After a check that found no memory free.
_RETRY_AFTER_S = 60.0
# Serve ends a replica about five seconds after its first failed health check, and Ray exports the
# metrics of a replica every ten: without this wait, the failure would often not be exported.
_UNHEALTHY_AFTER_S = 6.0


class SelfCheckFailed(Unavailable):
    """The model of this replica was found to be wrong; another replica may answer."""


class RunWhenIdle(Protocol):
    """Run a function in the model's thread when no image waits, and return its result."""

    def __call__(self, function: Callable[[], S]) -> Awaitable[S]: ...


class SelfChecks:
    """The checks that a loaded model still is what it was.

    The golden cases run again every `golden_every_s`, and the weights in memory are compared with
    those that were loaded every `weights_every_s`; None switches a check off. From the moment that
    a check fails, the model must not be used: `require_sound` raises.
    """

    def __init__(
        self,
        engine: Engine,
        golden: GoldenCheck,
        metrics: Metrics,
        *,
        golden_every_s: float | None,
        weights_every_s: float | None,
    ) -> None:
        """Run the golden cases for the first time. Raise BundleError where one differs.

        To be called in the model's thread.
        """
        self._engine = engine
        self._golden = golden
        self._metrics = metrics
        self._golden_every_s = golden_every_s if golden.cases else None
        self._weights_every_s = weights_every_s
        self._reason: str | None = None
        self._failed_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        # Before the cases, which then show that it is the fingerprint of a sound model.
        self._fingerprint = None if weights_every_s is None else engine.fingerprint()
        agreement = golden.run_all()
        if golden.cases:
            metrics.golden_reproduced(agreement)
        if self._fingerprint is not None:
            metrics.weights_unchanged()

    def start(self, run_when_idle: RunWhenIdle) -> None:
        """Start repeating the checks in the running event loop, unless they were started before."""
        if self._tasks:
            return
        if self._golden_every_s is not None:
            check = self._repeat(self._golden_every_s, partial(self._check_golden, run_when_idle))
            self._tasks.append(asyncio.create_task(check, name="golden cases"))
        if self._weights_every_s is not None:
            check = self._repeat(self._weights_every_s, partial(self._check_weights, run_when_idle))
            self._tasks.append(asyncio.create_task(check, name="weights"))

    def require_sound(self) -> None:
        """Raise SelfCheckFailed where a check has failed. May be called in any thread."""
        if self._reason is not None:
            raise SelfCheckFailed(
                "The model of this replica failed its self-check, and the replica is being "
                "replaced; send the image again."
            )

    def check_health(self) -> None:
        """Raise SelfCheckFailed with the reason, once its metric is exported."""
        if self._reason is not None and monotonic() - self._failed_at >= _UNHEALTHY_AFTER_S:
            raise SelfCheckFailed(self._reason)
        for task in self._tasks:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise SelfCheckFailed(f"The self-check of the {task.get_name()} broke") from error

    async def _repeat(self, every_s: float, check: Callable[[], Awaitable[None]]) -> None:
        while self._reason is None:
            await sleep(every_s * uniform(1, 1 + _JITTER))  # nosec B311, no secret
            while not await self._has_run(check):
                await sleep(min(every_s, _RETRY_AFTER_S))

    async def _has_run(self, check: Callable[[], Awaitable[None]]) -> bool:
        """Run a check. Return False where there was no memory for it."""
        try:
            await check()
        except SelfCheckFailed:
            pass  # `_reason` says why
        except OutOfMemory as error:  # it says nothing about the model
            _log.warning(f"a self-check is put off, since the model ran out of memory: {error}")
            return False
        return True

    async def _check_golden(self, run_when_idle: RunWhenIdle) -> None:
        agreement = Agreement()
        for case in self._golden.cases:
            agreement = agreement.worst(await run_when_idle(partial(self._reproduce, case)))
        self._metrics.golden_reproduced(agreement)
        _log.info("the golden cases were reproduced")

    def _reproduce(self, case: GoldenCase) -> Agreement:
        """Run a case in a thread of the model. Answers that were computed beside it are refused."""
        self.require_sound()
        try:
            return self._golden.run(case)
        except (BundleError, RuntimeError) as error:
            self._metrics.golden_differs()
            raise self._fail(str(error)) from error

    async def _check_weights(self, run_when_idle: RunWhenIdle) -> None:
        await run_when_idle(self._compare_weights)

    def _compare_weights(self) -> None:
        self.require_sound()
        if self._engine.fingerprint() != self._fingerprint:
            self._metrics.weights_changed()
            raise self._fail("the weights in memory are not those that were loaded")
        self._metrics.weights_unchanged()
        _log.info("the weights are unchanged")

    def _fail(self, reason: str) -> SelfCheckFailed:
        self._failed_at = monotonic()
        self._reason = f"The self-check of the model failed: {reason}"
        _log.error(f"every request is refused, and this replica is being replaced: {reason}")
        return SelfCheckFailed(self._reason)
