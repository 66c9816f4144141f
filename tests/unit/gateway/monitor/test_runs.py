from datetime import timedelta

import pytest
from django.utils import timezone

from gateway.monitor.models import ProbeRun
from gateway.monitor.runs import ProbeState, probe_state, prune_runs

pytestmark = pytest.mark.django_db


def runs(*results: str) -> list[ProbeRun]:
    return [ProbeRun.objects.create(result=result) for result in results]


@pytest.mark.parametrize(
    ("results", "failures"),
    [
        ([], 0),
        (["agreed"], 0),
        (["failed"], 1),
        (["agreed", "failed", "disagreed"], 2),
        (["failed", "failed", "agreed"], 0),
        (["failed", "agreed", "disagreed"], 1),
    ],
)
def test_state_counts_probes_since_last_success(results, failures):
    rows = runs(*results)
    state = probe_state()
    assert state.failures_in_a_row == failures
    assert state.last == (rows[-1] if rows else None)
    agreed = [row for row in rows if row.agrees]
    assert state.success == (agreed[-1] if agreed else None)


@pytest.mark.parametrize("results", [["failed"], ["agreed"], ["failed", "agreed", "disagreed"]])
def test_state_of_one_process_is_that_of_database(results):
    state = ProbeState()
    for run in runs(*results):
        state = state.after(run)
    assert state == probe_state()


def test_probes_are_kept_for_thirty_days():
    kept, gone = runs("agreed", "failed")
    for run, days in ((kept, 29.9), (gone, 30.1)):
        ProbeRun.objects.filter(pk=run.pk).update(at=timezone.now() - timedelta(days=days))
    prune_runs()
    assert list(ProbeRun.objects.all()) == [kept]
