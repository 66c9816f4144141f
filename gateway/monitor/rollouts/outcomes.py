from dataclasses import dataclass
from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from gateway.monitor.models import Comparison, Rollout
from gateway.monitor.rollouts.actions import end
from gateway.monitor.rollouts.evidence import Evidence, TestName
from gateway.monitor.rollouts.patience import slow_after_s
from pipeline.comparison import ImageComparison
from pipeline.text import one_line

_KEPT = timedelta(days=90)

_REASONS: dict[TestName, str] = {
    "disagreement": "it reports other lesions: on average {mean:.1%} of those of an image differ, "
    "and {limit:.1%} were accepted",
    "errors": "it fails on {mean:.1%} of the images, and {limit:.1%} were accepted",
    "slow": "it is slow on {mean:.1%} of the images, and {limit:.1%} were accepted",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How the candidate did on one image.

    error_code: why it gave no answer, else empty. comparison: of the stable model's answer with the
    candidate's; None with an error, and where the stable model gave none. stable_s, candidate_s:
    the seconds until each answer.
    """

    request_id: str
    examination: str
    error_code: str = ""
    comparison: ImageComparison | None = None
    stable_s: float | None = None
    candidate_s: float | None = None


def evidence_of(rollout: Rollout) -> Evidence:
    """Return the tests of a rollout, as far as they have come."""
    limits: dict[TestName, float] = {
        "disagreement": rollout.max_disagreement,
        "errors": rollout.max_errors,
        "slow": rollout.max_slow,
    }
    return Evidence(limits, rollout.alpha, rollout.evidence)


@transaction.atomic
def record_outcome(rollout_id: int, outcome: Outcome) -> tuple[Rollout, bool]:
    """Keep an outcome, and end the rollout where a test rejects; blocking.

    Return the rollout as it is afterwards, and whether this outcome has ended it. An outcome of one
    that has ended is dropped.
    """
    # Processes take turns: each goes on where the last one has stopped.
    rollout = Rollout.objects.select_for_update().get(pk=rollout_id)
    if rollout.state != Rollout.State.RUNNING:
        return rollout, False
    evidence = evidence_of(rollout)
    _bet(evidence, rollout, outcome)
    _comparison(rollout, outcome).save(force_insert=True)
    rollout.evidence = evidence.state
    rollout.save(update_fields=["evidence"])
    test = evidence.rejected()
    if test is None:
        return rollout, False
    return rollout, end(rollout, Rollout.State.ROLLED_BACK, _reason(evidence, test))


def _bet(evidence: Evidence, rollout: Rollout, outcome: Outcome) -> None:
    """Bet on what the outcome says.

    The images of an examination show the same lesions, so that their disagreements are alike: the
    first one with lesions counts for all. Images without lesions say nothing of those that differ.
    """
    evidence.add("errors", float(bool(outcome.error_code)))
    if (slow := is_slow(outcome, rollout.slow_factor)) is not None:
        evidence.add("slow", float(slow))
    if (disagreement := _disagreement(outcome.comparison)) is not None:
        earlier = Comparison.objects.filter(rollout=rollout, examination=outcome.examination)
        if not earlier.filter(disagreement__isnull=False).exists():
            evidence.add("disagreement", disagreement)


def is_slow(outcome: Outcome, slow_factor: float) -> bool | None:
    """Return whether the candidate took longer than accepted; None where that is not known."""
    if outcome.stable_s is None or outcome.candidate_s is None:
        return None
    return outcome.candidate_s > slow_after_s(slow_factor, outcome.stable_s)


def _disagreement(comparison: ImageComparison | None) -> float | None:
    if comparison is None or not (comparison.lesions or comparison.one_withheld):
        return None
    return comparison.disagreement


def _comparison(rollout: Rollout, outcome: Outcome) -> Comparison:
    row = Comparison(
        rollout=rollout,
        request_id=outcome.request_id,
        examination=outcome.examination,
        error_code=outcome.error_code,
        stable_s=outcome.stable_s,
        candidate_s=outcome.candidate_s,
    )
    if (comparison := outcome.comparison) is not None:
        areas = [pair.area_delta for pair in comparison.agreed]
        row.agreed, row.borderline = len(comparison.agreed), comparison.borderline
        row.reclassified = len(comparison.reclassified)
        row.added, row.lost = len(comparison.added), len(comparison.lost)
        row.disagreement = _disagreement(comparison)
        row.max_score_delta = comparison.largest_score_delta
        row.mean_area_delta = sum(areas) / len(areas) if areas else None
    return row


def _reason(evidence: Evidence, test: TestName) -> str:
    state = evidence.tests[test]
    assert state.mean is not None, "a test rejects by its values"
    reason = _REASONS[test].format(mean=state.mean, limit=evidence.limits[test])
    return one_line(f"{test}: {reason} ({state.count} values)", 300)


def prune_comparisons() -> None:
    """Delete comparisons that are older than 90 days; blocking. The rollouts stay."""
    Comparison.objects.filter(at__lt=timezone.now() - _KEPT).delete()
