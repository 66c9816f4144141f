import asyncio
from functools import partial

import structlog
from django.db import Error

from gateway.database import background
from gateway.monitor.models import Rollout
from gateway.monitor.profile_reader import ProfileReader
from gateway.monitor.rollouts import metrics
from gateway.monitor.rollouts.actions import begin, end, running
from gateway.monitor.rollouts.candidate import LoadedModel, served_model
from gateway.monitor.rollouts.forwarder import RolloutForwarder, report_end
from gateway.monitor.rollouts.outcomes import evidence_of
from gateway.monitor.rollouts.route import route_of
from gateway.predict.upstream import Upstream
from pipeline.errors import LesionserveError

logger = structlog.stdlib.get_logger(__name__)

# How old the route of a process may be: a rollout that another process or a person has ended takes
# no image of this one after so many seconds.
EVERY_S = 2.0


class RolloutSchedule:
    """Keep the route of one process as the database has it, and end rollouts that are done."""

    def __init__(self, forwarder: RolloutForwarder, stable: Upstream, candidate: Upstream) -> None:
        self._forwarder = forwarder
        self._stable = stable
        self._candidate = candidate
        self._profiles = ProfileReader(candidate.ready, candidate.profile)
        self._profile_of = ""

    async def run(self) -> None:
        """Read the database every two seconds, until cancelled."""
        while True:
            try:
                await self.step()
            except Error:
                logger.warning("the rollout cannot be read")
            except Exception:
                # After any error the route is read again.
                logger.exception("the rollout could not be followed")
            await asyncio.sleep(EVERY_S)

    async def step(self) -> None:
        """Set the route to the rollout that runs. Raise an error of Django's database."""
        rollout = await background(running)
        if rollout is not None:
            rollout = await self._follow(rollout)
        if rollout is None:
            self._forwarder.route = None
            metrics.show(None)
            return
        metrics.show(evidence_of(rollout))
        if rollout.seen_at is None:
            self._forwarder.route = None
            return
        route = await background(partial(route_of, rollout))
        if self._forwarder.route != route:
            logger.info("rollout routed", rollout=route.rollout, mode=rollout.mode)
            self._forwarder.route = route
        if self._profile_of != route.candidate_sha256:
            await self._read_profile(route.candidate_sha256)

    async def _follow(self, rollout: Rollout) -> Rollout | None:
        """Return the rollout as it is now that the models were asked; None where it has ended."""
        stable = await _model(self._stable)
        if stable is None:
            return rollout
        if stable.bundle_sha256 == rollout.candidate_sha256:
            if rollout.seen_at is None:
                reason = "the stable application serves this bundle already"
                await self._end(rollout, Rollout.State.ABORTED, reason)
                return None
            await self._end(rollout, Rollout.State.PROMOTED, "the stable application serves it")
            return None
        if rollout.seen_at is None:
            candidate = await _model(self._candidate)
            if candidate is None or candidate.bundle_sha256 != rollout.candidate_sha256:
                return rollout
            return await background(partial(begin, rollout, stable, candidate))
        if stable.bundle_sha256 != rollout.stable_sha256:
            reason = f"the stable model was replaced by {stable.bundle_sha256[:12]} meanwhile"
            await self._end(rollout, Rollout.State.ABORTED, reason)
            return None
        return rollout

    async def _read_profile(self, digest: str) -> None:
        """Store the candidate's reference profile, without which its images are not watched."""
        try:
            await self._profiles.step()
            self._profile_of = digest
        except LesionserveError as error:
            logger.warning("the candidate's profile cannot be read", reason=str(error))

    async def _end(self, rollout: Rollout, state: Rollout.State, reason: str) -> None:
        self._forwarder.route = None
        if await background(partial(end, rollout, state, reason)):
            report_end(rollout)


async def _model(upstream: Upstream) -> LoadedModel | None:
    """Return the model that the application has loaded; None where it does not say."""
    try:
        return await served_model(upstream)
    except LesionserveError:
        return None
