from datetime import timedelta

import pytest
from django.utils import timezone

from gateway.audit.events import COMMAND
from gateway.monitor.level import Level
from gateway.monitor.models import Rollout
from gateway.monitor.overview import Part
from gateway.monitor.rollout_part import last_rollout, rollout_part
from gateway.monitor.rollouts import actions
from gateway.monitor.rollouts.outcomes import record_outcome
from tests.unit.gateway.monitor.rollouts.examples import CANDIDATE, begun, outcome, started

pytestmark = pytest.mark.django_db


def part() -> Part:
    summary = last_rollout(timezone.now())
    assert summary is not None
    return rollout_part(summary)


def test_without_rollout_there_is_no_part() -> None:
    assert last_rollout(timezone.now()) is None


def test_rollout_whose_candidate_does_not_answer_waits() -> None:
    started()
    assert (part().level, part().summary) == (
        Level.GOOD,
        f"It waits until the candidate {CANDIDATE[:12]} answers.",
    )


@pytest.mark.parametrize(
    ("mode", "summary"),
    [
        (
            Rollout.Mode.SHADOW,
            "A shadow: the candidate {} is compared on 20 % of the examinations.",
        ),
        (Rollout.Mode.CANARY, "A canary: the candidate {} answers 20 % of the examinations."),
    ],
)
def test_running_rollout_says_how_far_each_test_is(mode: Rollout.Mode, summary: str) -> None:
    rollout = begun(mode, 20)
    record_outcome(rollout.pk, outcome())
    assert part().summary == summary.format(CANDIDATE[:12])
    facts = dict(part().facts)
    assert facts["Images compared"] == "1 of 1 examinations"
    assert facts["Failed images"].startswith("0.0%, 1% accepted; ")
    assert facts["Failed images"].endswith("of the evidence for a rollback")


def test_rollback_wants_attention_and_says_why() -> None:
    rollout = begun()
    for _ in range(60):
        rollout, has_ended = record_outcome(rollout.pk, outcome(error_code="unavailable"))
        if has_ended:
            break
    assert part().level is Level.WARNING
    assert f"The candidate {CANDIDATE[:12]} was rolled back. Errors: it fails on" in part().summary
    assert "LesionserveRolledBack" in part().remedy
    assert part().since is not None


def test_decided_promotion_waits_for_the_deployment() -> None:
    begun()
    actions.promote(by=COMMAND)
    assert "waits until the stable application serves" in part().summary


def test_aborted_rollout_is_shown_for_two_weeks() -> None:
    begun()
    actions.abort("seen enough", by=COMMAND)
    assert part().summary == f"The candidate {CANDIDATE[:12]} was aborted. Seen enough."
    assert last_rollout(timezone.now() + timedelta(days=13)) is not None
    assert last_rollout(timezone.now() + timedelta(days=15)) is None
