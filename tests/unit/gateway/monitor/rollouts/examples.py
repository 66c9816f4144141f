"""Rollouts and outcomes for the tests."""

from uuid import uuid4

from gateway.audit.events import COMMAND
from gateway.monitor.models import Rollout
from gateway.monitor.rollouts import actions
from gateway.monitor.rollouts.actions import Terms
from gateway.monitor.rollouts.candidate import LoadedModel
from gateway.monitor.rollouts.outcomes import Outcome
from pipeline.comparison import ImageComparison, LesionPair, LoneLesion

STABLE, CANDIDATE = "5" * 64, "c" * 64


def started(
    mode: Rollout.Mode = Rollout.Mode.SHADOW, percent: int = 100, organisations=(), **terms: float
) -> Rollout:
    """Return a rollout that has just been started."""
    return actions.start(CANDIDATE, mode, percent, organisations, Terms(**terms), by=COMMAND)


def begun(*arguments, **options) -> Rollout:
    """Return a rollout whose models were found to answer."""
    rollout = started(*arguments, **options)
    return actions.begin(rollout, served(STABLE), served(CANDIDATE))


def served(digest: str) -> LoadedModel:
    return LoadedModel(name="m", version="1", digest=digest, score_threshold=0.5)


def comparison(agreed: int = 1, lost: int = 0, added: int = 0) -> ImageComparison:
    pair = LesionPair(
        label="HSIL", second_label="HSIL", iou=1.0, score=0.9, score_delta=0.01, area_delta=0.1
    )
    lone = LoneLesion(label="HSIL", score=0.9)
    return ImageComparison(
        agreed=[pair] * agreed,
        reclassified=[],
        added=[lone] * added,
        lost=[lone] * lost,
        borderline=0,
        one_withheld=False,
    )


def outcome(
    compared: ImageComparison | None = None,
    examination: str | None = None,
    error_code: str = "",
    stable_s: float | None = 0.1,
    candidate_s: float | None = 0.1,
) -> Outcome:
    """Return an outcome of an examination of its own, in which the models agree."""
    if error_code:
        return Outcome(str(uuid4()), examination or uuid4().hex, error_code)
    return Outcome(
        str(uuid4()),
        examination or uuid4().hex,
        comparison=comparison() if compared is None else compared,
        stable_s=stable_s,
        candidate_s=candidate_s,
    )
