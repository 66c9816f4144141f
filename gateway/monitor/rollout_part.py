from datetime import datetime, timedelta

from gateway.monitor.level import Level
from gateway.monitor.models import Rollout
from gateway.monitor.overview import Part
from gateway.monitor.rollouts.summary import Summary, TestSummary

_SHOWN = timedelta(days=14)
_NAME = "Rollout"
_WORDS = {"disagreement": "Lesions that differ", "errors": "Failed images", "slow": "Slow images"}


def last_rollout(now: datetime) -> Summary | None:
    """Return the rollout that runs or ended in the last two weeks; blocking."""
    rollout = Rollout.objects.first()
    if rollout is None or (rollout.ended_at is not None and rollout.ended_at < now - _SHOWN):
        return None
    return Summary.of(rollout)


def rollout_part(summary: Summary) -> Part:
    """Judge a rollout by how it goes, or has ended."""
    digest, facts = summary.candidate_sha256[:12], _facts(summary)
    match summary.state:
        case Rollout.State.ROLLED_BACK:
            return Part(
                _NAME,
                Level.WARNING,
                f"The candidate {digest} was rolled back. {_sentence(summary.reason)}",
                since=summary.ended_at,
                remedy="Follow the runbook LesionserveRolledBack.",
                facts=facts,
            )
        case Rollout.State.RUNNING:
            return Part(_NAME, Level.GOOD, _running(summary), since=summary.started_at, facts=facts)
    ending = f"The candidate {digest} was {summary.state}. {_sentence(summary.reason)}".strip()
    return Part(_NAME, Level.GOOD, ending, since=summary.ended_at, facts=facts)


def _running(summary: Summary) -> str:
    candidate = f"the candidate {summary.candidate_sha256[:12]}"
    if summary.seen_at is None:
        return f"It waits until {candidate} answers."
    if summary.promotion_at is not None:
        return f"It waits until the stable application serves {candidate}."
    share = f"{summary.percent} % of the examinations"
    if summary.mode == Rollout.Mode.CANARY:
        return f"A canary: {candidate} answers {share}."
    return f"A shadow: {candidate} is compared on {share}."


def _facts(summary: Summary) -> tuple[tuple[str, str], ...]:
    images = f"{summary.images} of {summary.examinations} examinations"
    return (("Images compared", images), *map(_fact, summary.tests))


def _fact(test: TestSummary) -> tuple[str, str]:
    """Return a test: its mean, what was accepted, and how near it is to a rollback."""
    mean = "none yet" if test.mean is None else f"{test.mean:.1%}"
    evidence = f"{test.evidence:.0%} of the evidence for a rollback"
    return _WORDS[test.name], f"{mean}, {test.limit:.0%} accepted; {evidence}"


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:]}." if reason else ""
