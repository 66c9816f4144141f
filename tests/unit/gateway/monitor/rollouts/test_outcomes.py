from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from gateway.audit.models import Event
from gateway.monitor.models import Comparison, Rollout
from gateway.monitor.rollouts.outcomes import (
    Outcome,
    evidence_of,
    prune_comparisons,
    record_outcome,
)
from tests.unit.gateway.monitor.rollouts.examples import begun, comparison, outcome

pytestmark = pytest.mark.django_db


def counts(rollout: Rollout) -> dict[str, int]:
    """Return how many values each test of the stored rollout has."""
    stored = Rollout.objects.get(pk=rollout.pk)
    return {name: test.count for name, test in evidence_of(stored).tests.items()}


def test_outcome_is_stored_as_numbers():
    rollout = begun()
    record_outcome(rollout.pk, outcome(comparison(agreed=2, lost=1, added=1)))
    row = Comparison.objects.get()
    assert (row.agreed, row.lost, row.added, row.reclassified) == (2, 1, 1, 0)
    assert (row.disagreement, row.max_score_delta) == (0.5, 0.01)
    assert row.mean_area_delta == pytest.approx(0.1)
    assert (row.stable_s, row.candidate_s, row.error_code) == (0.1, 0.1, "")
    assert counts(rollout) == {"disagreement": 1, "errors": 1, "slow": 1}


def test_failure_is_stored_with_code_and_no_lesions():
    rollout = begun()
    record_outcome(rollout.pk, outcome(error_code="unavailable"))
    row = Comparison.objects.get()
    assert (row.error_code, row.agreed, row.disagreement) == ("unavailable", None, None)
    assert counts(rollout) == {"disagreement": 0, "errors": 1, "slow": 0}


def test_images_without_lesions_say_nothing_of_disagreement():
    rollout = begun()
    record_outcome(rollout.pk, outcome(comparison(agreed=0)))
    assert Comparison.objects.get().disagreement is None
    assert counts(rollout) == {"disagreement": 0, "errors": 1, "slow": 1}


def test_examination_counts_once_for_disagreement():
    rollout = begun()
    for compared in (comparison(agreed=0), comparison(lost=1), comparison(lost=1)):
        record_outcome(rollout.pk, outcome(compared, examination="e"))
    record_outcome(rollout.pk, outcome(comparison(lost=1), examination="f"))
    assert counts(rollout) == {"disagreement": 2, "errors": 4, "slow": 4}
    assert Comparison.objects.count() == 4


@pytest.mark.parametrize(
    ("make", "test"),
    [
        (lambda: outcome(comparison(agreed=0, lost=1)), "disagreement"),
        (lambda: outcome(error_code="deadline_exceeded"), "errors"),
        (lambda: outcome(stable_s=0.1, candidate_s=0.25), "slow"),
    ],
    ids=["loses lesions", "fails", "slow"],
)
def test_bad_candidate_is_rolled_back_with_reason(make, test):
    rollout = begun()
    for _ in range(12):
        after, _ = record_outcome(rollout.pk, make())
    assert after.state == "rolled_back"
    assert after.reason.startswith(f"{test}: it ")
    stored = Rollout.objects.get(pk=rollout.pk)
    assert (stored.state, stored.reason) == (after.state, after.reason)
    event = Event.objects.get(action="rollout.rolled_back")
    assert (event.actor, test in event.subject) == ("gateway", True)
    assert Comparison.objects.count() < 12, "what came after its end is dropped"


def test_candidate_that_differs_by_rounding_stays():
    rollout = begun()
    for _ in range(300):
        after, _ = record_outcome(rollout.pk, outcome(stable_s=0.1, candidate_s=0.15))
    assert after.state == "running"


@pytest.mark.django_db(transaction=True)
def test_processes_at_once_lose_no_outcome():
    rollout = begun()
    outcomes = [outcome() for _ in range(24)]

    def record(one: Outcome) -> None:
        try:
            record_outcome(rollout.pk, one)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(record, outcomes))
    assert counts(rollout) == {"disagreement": 24, "errors": 24, "slow": 24}


def test_milliseconds_that_double_are_not_slow():
    rollout = begun()
    for _ in range(50):
        after, _ = record_outcome(rollout.pk, outcome(stable_s=0.01, candidate_s=0.1))
    assert after.state == "running"


def test_old_comparisons_are_pruned():
    rollout = begun()
    record_outcome(rollout.pk, outcome())
    record_outcome(rollout.pk, outcome())
    old = Comparison.objects.first()
    Comparison.objects.filter(pk=old.pk).update(at=timezone.now() - timedelta(days=91))
    prune_comparisons()
    assert Comparison.objects.count() == 1
    assert Rollout.objects.count() == 1
