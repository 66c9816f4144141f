import pytest

from gateway.monitor.rollouts.patience import OWED, Patience, slow_after_s
from tests.unit.gateway.monitor.rollouts.test_route import route


def test_candidate_may_take_as_long_as_rollout_accepts():
    patience = Patience()
    for seconds in (0.2, 9.0, 0.4):
        patience.observe(seconds)
    assert patience.late_after_s(route()) == pytest.approx(0.8)  # twice the median


def test_without_an_answer_of_the_stable_model_nothing_is_late():
    assert Patience().late_after_s(route()) is None


@pytest.mark.parametrize(("stable_s", "limit_s"), [(0.01, 0.11), (1.0, 2.0)])
def test_milliseconds_more_are_not_slow(stable_s: float, limit_s: float):
    assert slow_after_s(2.0, stable_s) == pytest.approx(limit_s)


def test_lost_patience_comes_back_after_enough_answers():
    patience = Patience()
    assert not patience.is_lost(route())
    patience.lose(route())
    for _ in range(OWED - 1):
        patience.earn(route())
    assert patience.is_lost(route())
    patience.earn(route())
    assert not patience.is_lost(route())


def test_another_failure_counts_anew():
    patience = Patience()
    patience.lose(route())
    patience.earn(route())
    patience.lose(route())
    for _ in range(OWED - 1):
        patience.earn(route())
    assert patience.is_lost(route())


def test_next_rollout_has_lost_nothing():
    patience = Patience()
    patience.lose(route(rollout=1))
    assert not patience.is_lost(route(rollout=2))
    patience.earn(route(rollout=2))
    assert patience.is_lost(route(rollout=1))
