import numpy as np
import pytest

from gateway.monitor.rollouts.evidence import Evidence

LIMITS = {"disagreement": 0.02, "errors": 0.01, "slow": 0.2}
ALPHA = 0.01


def evidence(state=None) -> Evidence:
    return Evidence(LIMITS, ALPHA, state or {})


def test_new_tests_reject_nothing():
    tests = evidence()
    assert [tests.wealth(name) for name in LIMITS] == [1, 1, 1]
    assert tests.rejected() is None
    assert tests.needed == pytest.approx(300)


@pytest.mark.parametrize("name", LIMITS)
def test_values_far_above_limit_reject_after_few(name):
    tests, count = evidence(), 0
    while tests.rejected() is None:
        tests.add(name, 1.0)
        count += 1
    assert tests.rejected() == name
    assert count <= 7
    assert tests.tests[name].mean == 1


def test_candidate_that_loses_one_lesion_in_twenty_is_rejected():
    tests, rng = evidence(), np.random.default_rng(1)
    while tests.rejected() is None and tests.tests["disagreement"].count < 2000:
        tests.add("disagreement", float(rng.random() < 0.05))
    assert tests.rejected() == "disagreement"


def test_good_candidates_are_rejected_at_most_with_their_chance():
    rng, rejected = np.random.default_rng(2), 0
    for _ in range(100):
        tests = evidence()
        for value in rng.random(500) < LIMITS["disagreement"]:
            tests.add("disagreement", float(value))
            tests.add("errors", 0.0)
            tests.add("slow", 0.1)
            if tests.rejected() is not None:
                rejected += 1
                break
    assert rejected <= 4  # of 100, with a chance of 1 %


def test_state_goes_on_in_later_process():
    first, whole = evidence(), evidence()
    for value in (0.5, 0.0, 1.0):
        first.add("errors", value)
        whole.add("errors", value)
    later = evidence(first.state)
    for tests in (later, whole):
        tests.add("errors", 0.25)
    assert later.state == whole.state
    assert later.wealth("errors") == whole.wealth("errors")
    assert later.tests["errors"].count == 4
