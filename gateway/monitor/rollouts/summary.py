from collections.abc import Iterator
from datetime import datetime
from typing import Self

from django.db.models import Avg, Count, Max, Q, Sum
from pydantic import BaseModel

from gateway.monitor.models import Comparison, Rollout
from gateway.monitor.rollouts.evidence import TESTS, Evidence, TestName
from gateway.monitor.rollouts.outcomes import evidence_of

_MEANINGS: dict[TestName, str] = {
    "disagreement": "lesions of an image that differ",
    "errors": "images on which the candidate fails",
    "slow": "images on which it is slow",
}


class TestSummary(BaseModel):
    """A test: its mean so far, what was accepted, and its evidence as a share of what it needs."""

    name: TestName
    values: int
    mean: float | None
    limit: float
    evidence: float

    @classmethod
    def of(cls, name: TestName, evidence: Evidence) -> Self:
        state = evidence.tests[name]
        share = evidence.wealth(name) / evidence.needed
        return cls(
            name=name,
            values=state.count,
            mean=state.mean,
            limit=evidence.limits[name],
            evidence=min(1.0, share),
        )


class Summary(BaseModel):
    """What is known of a rollout. Of its images, those of the last 90 days."""

    mode: str
    state: str
    reason: str
    percent: int
    organisations: list[str]
    candidate_sha256: str
    stable_sha256: str
    started_at: datetime
    seen_at: datetime | None
    promotion_at: datetime | None
    ended_at: datetime | None
    images: int
    failed: int
    examinations: int
    agreed: int
    borderline: int
    reclassified: int
    added: int
    lost: int
    max_score_delta: float | None
    mean_area_delta: float | None
    stable_s: float | None
    candidate_s: float | None
    tests: list[TestSummary]

    @classmethod
    def of(cls, rollout: Rollout) -> Self:
        """Return the summary of a rollout; blocking."""
        evidence = evidence_of(rollout)
        counts = Comparison.objects.filter(rollout=rollout).aggregate(
            images=Count("pk"),
            failed=Count("pk", filter=~Q(error_code="")),
            examinations=Count("examination", distinct=True),
            **{
                name: Sum(name, default=0)
                for name in ("agreed", "borderline", "reclassified", "added", "lost")
            },
            max_score_delta=Max("max_score_delta"),
            mean_area_delta=Avg("mean_area_delta"),
            stable_s=Avg("stable_s"),
            candidate_s=Avg("candidate_s"),
        )
        return cls(
            mode=rollout.mode,
            state=rollout.state,
            reason=rollout.reason,
            percent=rollout.percent,
            organisations=[organisation.name for organisation in rollout.organisations.all()],
            candidate_sha256=rollout.candidate_sha256,
            stable_sha256=rollout.stable_sha256,
            started_at=rollout.started_at,
            seen_at=rollout.seen_at,
            promotion_at=rollout.promotion_at,
            ended_at=rollout.ended_at,
            tests=[TestSummary.of(name, evidence) for name in TESTS],
            **counts,
        )


def lines(summary: Summary) -> Iterator[str]:
    """Yield the summary in lines for a person."""
    who = ", ".join(summary.organisations) or "all organisations"
    yield f"{summary.mode} of {summary.percent} % of the examinations of {who}: {_state(summary)}"
    if summary.reason:
        yield f"reason: {summary.reason}"
    yield f"candidate {summary.candidate_sha256[:12]}, stable {summary.stable_sha256[:12] or '-'}"
    yield f"since {summary.started_at:%Y-%m-%d %H:%M} UTC" + (
        f" until {summary.ended_at:%Y-%m-%d %H:%M}" if summary.ended_at else ""
    )
    yield (
        f"{summary.images} images of {summary.examinations} examinations, {summary.failed} failed"
    )
    yield (
        f"lesions: {summary.agreed} agree, {summary.borderline} within rounding, "
        f"{summary.lost} lost, {summary.added} added, {summary.reclassified} reclassified"
    )
    if summary.max_score_delta is not None:
        yield f"largest change of a score {summary.max_score_delta:.3f}"
    if summary.mean_area_delta is not None:
        yield f"mean change of an area {summary.mean_area_delta:+.1%}"
    if summary.stable_s is not None and summary.candidate_s is not None:
        stable, candidate = f"{summary.stable_s:.3f}", f"{summary.candidate_s:.3f}"
        yield f"seconds an image: stable {stable}, candidate {candidate}"
    for test in summary.tests:
        mean = "-" if test.mean is None else f"{test.mean:.2%}"
        yield (
            f"{_MEANINGS[test.name]}: {mean} of {test.values}, accepted {test.limit:.2%}; evidence "
            f"{test.evidence:.1%} of what rolls back"
        )


def _state(summary: Summary) -> str:
    if summary.state != Rollout.State.RUNNING:
        return summary.state.replace("_", " ")
    if summary.promotion_at is not None:
        return "running, to be promoted once the stable application serves the bundle"
    if summary.seen_at is None:
        return "waiting until both applications answer"
    return "running"
