import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from time import monotonic

import structlog
from django.db import Error

from gateway.database import background
from gateway.errors import UpstreamFault
from gateway.monitor.models import Rollout
from gateway.monitor.rollouts import metrics
from gateway.monitor.rollouts.comparer import Comparer
from gateway.monitor.rollouts.mirror import Job, Mirror
from gateway.monitor.rollouts.outcomes import Outcome, evidence_of, is_slow, record_outcome
from gateway.monitor.rollouts.patience import Patience
from gateway.monitor.rollouts.route import Route
from gateway.predict.forwarding import Forwarded, Sender
from gateway.predict.image_request import ImageRequest
from gateway.predict.upstream import Upstream
from pipeline.errors import LesionserveError
from pipeline.schemas import Prediction

logger = structlog.stdlib.get_logger(__name__)


class RolloutForwarder:
    """A forwarder that knows a second model, the candidate of the rollout that runs.

    The stable model answers, but for the share of examinations that a canary sends to the
    candidate. Where the candidate fails or is late, the stable model answers in its place, and for
    a while all clients. After the client has its answer, the other model is asked too, and both
    answers are compared.
    """

    def __init__(self, stable: Upstream, candidate: Upstream, deadline_s: float) -> None:
        self.route: Route | None = None
        self._stable = stable
        self._candidate = candidate
        self._deadline_s = deadline_s
        self._comparer = Comparer(stable, candidate)
        self._patience = Patience()
        self.mirror = Mirror(self._compare)

    async def predict(
        self, request: ImageRequest, sender: Sender, on_attempt: Callable[[], None]
    ) -> Forwarded:
        route, begun = self.route, monotonic()
        if route is None or not self._is_canary(route, sender):
            prediction = await self._stable.predict(request, on_attempt)
            self._patience.observe(monotonic() - begun)
            return Forwarded(prediction, monotonic() - begun)
        try:
            on_attempt()
            return await self._canary(route, request, on_attempt)
        except asyncio.CancelledError:
            # The client has left. Both models are asked now, so that a candidate is found that
            # hangs for longer than clients wait.
            self.mirror.put(Job(route, _lesions_only(request), sender, None))
            raise

    def answered(self, request: ImageRequest, sender: Sender, forwarded: Forwarded) -> None:
        """Queue the image for the comparison, where it takes part in the rollout."""
        route = self.route
        if route is not None and route.takes(sender):
            prediction = forwarded.prediction.model_copy(update={"visualization": None})
            kept = replace(forwarded, prediction=prediction)
            self.mirror.put(Job(route, _lesions_only(request), sender, kept))

    def _is_canary(self, route: Route, sender: Sender) -> bool:
        """Return whether the client may wait for the candidate."""
        return route.is_canary and not self._patience.is_lost(route) and route.takes(sender)

    async def _canary(
        self, route: Route, request: ImageRequest, on_attempt: Callable[[], None]
    ) -> Forwarded:
        """Return the candidate's answer, or the stable model's where it fails or is late."""
        begun, error_code = monotonic(), ""
        try:
            async with asyncio.timeout(self._patience.late_after_s(route)):
                prediction = await self._ask_candidate(route, request)
                metrics.count(metrics.ANSWERED)
                return Forwarded(prediction, monotonic() - begun)
        except TimeoutError:
            self._patience.lose(route)
        except LesionserveError as error:
            error_code = error.code
        logger.warning("the candidate failed", rollout=route.rollout, code=error_code or "late")
        sent = monotonic()
        left_s = self._deadline_s - (sent - begun)
        prediction = await self._stable.predict(request, on_attempt, left_s)
        self._patience.lose(route)
        metrics.count(metrics.FALLBACK)
        # A late candidate is asked again for the comparison, which tells how late.
        return Forwarded(prediction, monotonic() - sent, candidate_error=error_code)

    async def _ask_candidate(self, route: Route, request: ImageRequest) -> Prediction:
        """Return the candidate's answer. Raise LesionserveError, so that half the time is left."""
        within_s = min(route.patience_s, self._deadline_s / 2)
        prediction = await self._candidate.ask_once(request, within_s)
        if prediction.model.bundle_sha256 != route.candidate_sha256:
            raise UpstreamFault("The candidate is another model than that of the rollout.")
        return prediction

    async def _compare(self, job: Job) -> None:
        outcome = await self._comparer.outcome(job)
        if outcome is None:
            return
        if outcome.error_code:
            self._patience.lose(job.route)
        elif is_slow(outcome, job.route.slow_factor) is False:
            self._patience.earn(job.route)
        await self._keep(job.route, outcome)

    async def _keep(self, route: Route, outcome: Outcome) -> None:
        """Store the outcome, and stop routing at once where it ends the rollout."""
        try:
            rollout, has_ended = await background(partial(record_outcome, route.rollout, outcome))
        except Error:
            logger.warning("a comparison is not in the database", rollout=route.rollout)
            return
        if has_ended:
            report_end(rollout)
        if rollout.state == Rollout.State.RUNNING:
            metrics.show(evidence_of(rollout))
        elif self.route is not None and self.route.rollout == rollout.pk:
            self.route = None


def _lesions_only(request: ImageRequest) -> ImageRequest:
    """Return the request as the other model gets it.

    The picture and the outlines of masks are not compared. They may be as large as many images, and
    take milliseconds to draw and to send, which is less than what makes a model slow.
    """
    plain = {"masks": "none", "visualization": "none"}
    return replace(request, options=request.options.model_copy(update=plain))


def report_end(rollout: Rollout) -> None:
    """Write a rollout that has ended to the log and the metrics of this process."""
    state = Rollout.State(rollout.state)
    metrics.count_end(state)
    write = logger.warning if state == Rollout.State.ROLLED_BACK else logger.info
    write(
        "rollout ended",
        rollout=rollout.pk,
        state=state.value,
        candidate=rollout.candidate_sha256,
        reason=rollout.reason,
    )
