"""Sequential tests: false alarms within their chance, and alarms where something has changed."""

import numpy as np
import pytest

from gateway.betting import MeanTest, UniformTest, share_bounds

ALPHA = 0.05
STREAMS = 400
# Of the streams, this share may alarm: the chance, and three standard errors of a sample.
MOST = ALPHA + 3 * (ALPHA * (1 - ALPHA) / STREAMS) ** 0.5


def first_alarm(test, values) -> int | None:
    for number, value in enumerate(values, 1):
        test.add(value)
        if test.wealth >= 1 / ALPHA:
            return number
    return None


def test_uniform_p_values_alarm_at_most_with_their_chance():
    rng = np.random.default_rng(1)
    alarms = [first_alarm(UniformTest(), rng.random(300)) for _ in range(STREAMS)]
    assert sum(alarm is not None for alarm in alarms) <= MOST * STREAMS


@pytest.mark.parametrize("scale", [(0.0, 0.6), (0.4, 1.0)])
def test_shifted_p_values_alarm_on_either_side(scale):
    rng = np.random.default_rng(2)
    alarm = first_alarm(UniformTest(), rng.uniform(*scale, 1000))
    assert alarm is not None
    assert alarm < 150


def test_margin_allows_a_shift_within_it():
    rng = np.random.default_rng(3)
    within = first_alarm(UniformTest(margin=0.1), rng.uniform(0.18, 1, 3000))
    beyond = first_alarm(UniformTest(margin=0.1), rng.uniform(0.5, 1, 3000))
    assert within is None
    assert beyond is not None


def test_mean_at_its_limit_alarms_at_most_with_its_chance():
    rng = np.random.default_rng(4)
    streams = rng.random((STREAMS, 500)) < 0.02
    alarms = [first_alarm(MeanTest(0.02), stream) for stream in streams]
    assert sum(alarm is not None for alarm in alarms) <= MOST * STREAMS


def test_mean_above_its_limit_alarms():
    rng = np.random.default_rng(5)
    assert first_alarm(MeanTest(0.02), rng.random(2000) < 0.1) is not None


@pytest.mark.parametrize("limit", [0, 1, -0.1])
def test_limit_without_a_bet_is_refused(limit):
    with pytest.raises(ValueError, match="between 0 and 1"):
        MeanTest(limit)


def test_later_process_goes_on_from_the_logarithms():
    rng = np.random.default_rng(6)
    values = rng.random(100)
    whole, first = UniformTest(0.05), UniformTest(0.05)
    for value in values:
        whole.add(value)
    for value in values[:40]:
        first.add(value)
    second = UniformTest(0.05, first.logs)
    for value in values[40:]:
        second.add(value)
    assert second.wealth == whole.wealth


def test_logarithms_of_another_test_are_refused():
    with pytest.raises(ValueError, match="wealths are kept"):
        UniformTest(logs=MeanTest(0.1).logs)


def test_overwhelming_evidence_stays_a_number():
    test = MeanTest(0.01)
    for _ in range(5000):
        test.add(1)
    assert np.isfinite(test.wealth)


def test_bounds_of_a_share_hold_at_all_times_but_for_their_chance():
    rng = np.random.default_rng(7)
    wrong = 0
    for stream in rng.random((STREAMS, 200)) < 0.8:
        successes = np.cumsum(stream)
        bounds = [
            share_bounds(int(count), number - int(count), ALPHA)
            for number, count in enumerate(successes, 1)
        ]
        wrong += any(not low <= 0.8 <= high for low, high in bounds)
    assert wrong <= MOST * STREAMS


def test_bounds_close_in_on_the_share():
    low, high = share_bounds(8000, 2000, ALPHA)
    assert 0.78 < low < 0.8 < high < 0.82


def test_bounds_of_only_successes_reach_one():
    low, high = share_bounds(50, 0, ALPHA)
    assert high == 1
    # The bet gains (successes + 1) times for a share of 1, so the bound has a closed form.
    assert low == pytest.approx((ALPHA / 51) ** (1 / 50))


def test_bounds_without_values_are_all_shares():
    assert share_bounds(0, 0, ALPHA) == (0, 1)
