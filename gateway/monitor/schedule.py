import asyncio
from collections.abc import Awaitable, Callable
from time import monotonic

import structlog

from gateway.database import DatabaseUnavailable, in_database
from gateway.environment import ProbeSettings
from gateway.errors import NotReady
from gateway.monitor import metrics
from gateway.monitor.golden import GoldenSet, parse_golden
from gateway.monitor.lease import Turns
from gateway.monitor.models import ProbeRun
from gateway.monitor.probe import Prober
from gateway.monitor.runs import ProbeState, probe_state
from gateway.predict.upstream import Upstream

logger = structlog.stdlib.get_logger(__name__)

# The server accepts connections only after its start has been reported complete.
_FIRST_AFTER_S = 5.0
# A model that loads beside the gateway is no outage for so long.
_MODEL_WITHIN_S = 60.0
_ASK_EVERY_S = 1.0
# How old the gauges of a process may be that did not send the last probe.
_POLL_S = 15.0
_DATABASE_WITHIN_S = 5.0


def prober_of(settings: ProbeSettings, upstream: Upstream, deadline_s: float) -> Prober:
    """Return a prober that fetches the golden cases from the ingress."""

    async def fetch() -> GoldenSet:
        body = await upstream.golden()
        return await asyncio.to_thread(parse_golden, body)

    return Prober(settings, deadline_s, fetch)


class ProbeSchedule:
    """Send the probes of one process, one in each interval over all processes.

    `ready` raises NotReady while the ingress has no model.
    """

    def __init__(
        self, prober: Prober, every_s: float, ready: Callable[[], Awaitable[object]]
    ) -> None:
        self._prober = prober
        self._every_s = every_s
        self._ready = ready
        self._turns = Turns(every_s)
        self._state = ProbeState()

    async def run(self) -> None:
        """Send a probe whenever it is this process's turn, until cancelled."""
        wait_s = min(_FIRST_AFTER_S, self._every_s)
        await self._await_model()
        while True:
            await asyncio.sleep(wait_s)
            try:
                wait_s = await self._step()
            except Exception:
                # After any error the next probe is sent in its turn.
                logger.exception("the probe could not be run")
                wait_s = self._every_s

    async def _await_model(self) -> None:
        """Return once a model is loaded, and without one when that takes too long."""
        ends_at = monotonic() + _MODEL_WITHIN_S
        while monotonic() < ends_at:
            try:
                await self._ready()
            except NotReady:
                await asyncio.sleep(_ASK_EVERY_S)
            else:
                return

    async def _step(self) -> float:
        """Send a probe if it is due. Return the seconds to wait for the next step."""
        claim = await self._turns.take()
        if claim.turn is not None:
            run = await self._prober.run(claim.turn)
            metrics.count(run)
            log(run)
            self._state = self._state.after(run)
            await self._keep(run)
        await self._refresh()
        metrics.show(self._state)
        return min(claim.wait_s, _POLL_S)

    async def _keep(self, run: ProbeRun) -> None:
        try:
            await in_database(run.save, within_s=_DATABASE_WITHIN_S)
        except DatabaseUnavailable:
            logger.warning("a probe is in the log alone")

    async def _refresh(self) -> None:
        try:
            self._state = await in_database(probe_state, within_s=_DATABASE_WITHIN_S)
        except DatabaseUnavailable:
            logger.warning("the probes of other processes cannot be read")


def log(run: ProbeRun) -> None:
    """Write a line of the log about a probe, a warning unless it agreed."""
    write = logger.info if run.agrees else logger.warning
    write(
        "probe",
        request_id=None if run.request_id is None else str(run.request_id),
        result=str(run.result),
        case=run.case,
        status=run.status,
        code=run.error_code,
        detail=run.detail,
        seconds=None if run.seconds is None else round(run.seconds, 3),
        bundle_sha256=run.bundle_sha256,
    )
