"""Sequential tests: false alarms within their chance, and alarms where something has changed."""

from itertools import product

import numpy as np
import pytest

from gateway.betting import MeanTest, UniformTests, share_bounds

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


def first_uniform_alarms(tests, values) -> list[int | None]:
    """The number of the value at which each of the tests alarms; `values` is (values, tests)."""
    alarms = [None] * values.shape[1]
    for number, row in enumerate(values, 1):
        tests.add(row)
        for test in np.flatnonzero(tests.wealth >= 1 / ALPHA):
            alarms[test] = alarms[test] or number
    return alarms


def test_uniform_p_values_alarm_at_most_with_their_chance():
    rng = np.random.default_rng(1)
    alarms = first_uniform_alarms(UniformTests(np.zeros(STREAMS)), rng.random((1000, STREAMS)))
    assert sum(alarm is not None for alarm in alarms) <= MOST * STREAMS


def test_shifted_p_values_alarm_on_either_side():
    rng = np.random.default_rng(2)
    tests = UniformTests(np.zeros(2))
    values = np.stack([rng.uniform(0, 0.6, 1000), rng.uniform(0.4, 1, 1000)], axis=1)
    low, high = first_uniform_alarms(tests, values)
    assert low < 150
    assert high < 150
    assert [tests.winning_bets(test)[1] for test in (0, 1)] == [False, True]


def test_late_change_is_found_as_soon_as_an_early_one():
    rng = np.random.default_rng(8)
    early, late = UniformTests(np.zeros(1)), UniformTests(np.zeros(1))
    for p in rng.random((3000, 1)):
        late.add(p)
    changed = rng.uniform(0.7, 1, (200, 1))
    (early_at,), (late_at,) = (first_uniform_alarms(tests, changed) for tests in (early, late))
    assert late_at < early_at + 60


def test_wealth_is_a_fair_bet():
    """The mean of the wealth after any p-values that are 0 or 1 alike is 1."""
    wealths = []
    for p_values in product((0.0, 1.0), repeat=6):
        tests = UniformTests(np.zeros(1))
        for p in p_values:
            tests.add(np.array([p]))
        wealths.append(tests.wealth[0])
    assert np.mean(wealths) == pytest.approx(1)


def test_margin_allows_a_shift_within_it():
    rng = np.random.default_rng(3)
    values = np.stack([rng.uniform(0.18, 1, 3000), rng.uniform(0.5, 1, 3000)], axis=1)
    within, beyond = first_uniform_alarms(UniformTests(np.array([0.1, 0.1])), values)
    assert within is None
    assert beyond is not None


def test_largest_margin_never_loses_everything():
    tests = UniformTests(np.array([0.5]))
    tests.add(np.array([0.0]))
    assert np.isfinite(tests.logs).all()


def test_test_without_a_value_keeps_its_wealth():
    tests = UniformTests(np.zeros(2))
    tests.add(np.array([0.9, np.nan]))
    fresh = UniformTests(np.zeros(1))
    assert list(tests.logs[1]) == list(fresh.logs[0])
    assert list(tests.logs[0]) != list(fresh.logs[0])
    assert list(tests.numbers) == [1, 0]
    assert tests.wealth[1] == 1


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
    values = rng.random((100, 3))
    margins = np.array([0, 0.05, 0.1])
    whole, first = UniformTests(margins), UniformTests(margins)
    for row in values:
        whole.add(row)
    for row in values[:40]:
        first.add(row)
    second = UniformTests(margins, first.logs, first.numbers)
    for row in values[40:]:
        second.add(row)
    assert list(second.wealth) == list(whole.wealth)


def test_logarithms_of_another_test_are_refused():
    with pytest.raises(ValueError, match="shape"):
        UniformTests(np.zeros(2), np.zeros((1, 10)))
    with pytest.raises(ValueError, match="bets"):
        MeanTest(0.1, [0.0])


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
