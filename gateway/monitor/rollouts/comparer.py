from time import monotonic

from gateway.monitor.rollouts import metrics
from gateway.monitor.rollouts.mirror import Job
from gateway.monitor.rollouts.outcomes import Outcome
from gateway.predict.forwarding import Forwarded
from gateway.predict.upstream import Upstream
from pipeline.comparison import compare
from pipeline.errors import LesionserveError
from pipeline.schemas import Prediction

_OTHER_MODEL = "other_model"


class Comparer:
    """Asks the model that has not answered the client, and compares both answers."""

    def __init__(self, stable: Upstream, candidate: Upstream) -> None:
        self._stable = stable
        self._candidate = candidate

    async def outcome(self, job: Job) -> Outcome | None:
        """Return how the candidate did on the image, or None where that cannot be told.

        That is so where the stable model gives no answer in time, or is another one by now.
        """
        route = job.route
        forwarded = job.forwarded or await self._stable_answer(job)
        if forwarded is None:
            return None
        answered_by = forwarded.prediction.model.bundle_sha256
        if forwarded.candidate_error:
            is_in_its_place = answered_by == route.stable_sha256
            return self._failure(job, forwarded.candidate_error) if is_in_its_place else None
        if answered_by == route.candidate_sha256:
            return await self._with_stable(job, forwarded)
        if answered_by == route.stable_sha256:
            return await self._with_candidate(job, forwarded)
        return None

    async def _stable_answer(self, job: Job) -> Forwarded | None:
        """Ask the stable model in the client's place; return None where it gives no answer."""
        begun = monotonic()
        try:
            prediction = await self._stable.ask_once(job.request, job.route.patience_s)
        except LesionserveError:
            return None
        return Forwarded(prediction, monotonic() - begun)

    async def _with_candidate(self, job: Job, forwarded: Forwarded) -> Outcome:
        """Ask the candidate, after the stable model has answered."""
        begun, stable = monotonic(), forwarded.prediction
        try:
            candidate = await self._candidate.ask_once(job.request, job.route.patience_s)
        except LesionserveError as error:
            metrics.count(metrics.FAILED)
            return self._failure(job, error.code)
        if candidate.model.bundle_sha256 != job.route.candidate_sha256:
            metrics.count(metrics.FAILED)
            return self._failure(job, _OTHER_MODEL)
        seconds = forwarded.seconds, monotonic() - begun
        return self._compared(job, stable, candidate, seconds)

    async def _with_stable(self, job: Job, forwarded: Forwarded) -> Outcome | None:
        """Ask the stable model, after the candidate has answered the client."""
        begun, candidate = monotonic(), forwarded.prediction
        try:
            stable = await self._stable.ask_once(job.request, job.route.patience_s)
        except LesionserveError:
            return None
        if stable.model.bundle_sha256 != job.route.stable_sha256:
            return None
        seconds = monotonic() - begun, forwarded.seconds
        return self._compared(job, stable, candidate, seconds)

    def _compared(
        self, job: Job, stable: Prediction, candidate: Prediction, seconds: tuple[float, float]
    ) -> Outcome:
        comparison = compare(stable, candidate, job.route.thresholds)
        metrics.count(metrics.COMPARED)
        metrics.count_lesions(comparison)
        return Outcome(
            request_id=job.request.request_id,
            examination=job.sender.examination,
            comparison=comparison,
            stable_s=seconds[0],
            candidate_s=seconds[1],
        )

    def _failure(self, job: Job, code: str) -> Outcome:
        return Outcome(job.request.request_id, job.sender.examination, error_code=code)
