import numpy as np
import pytest

from gateway.monitor.profile import Distribution
from gateway.monitor.reference import EarlierReference, ValidationReference


def reference(values) -> ValidationReference:
    quantiles = np.quantile(values, np.linspace(0, 1, 101)).tolist()
    known = ValidationReference.of(Distribution(count=len(values), quantiles=quantiles), 0.001)
    assert known is not None
    return known


def test_p_values_of_validation_images_are_uniform():
    values = np.random.default_rng(1).normal(size=2000)
    known = reference(values)
    p_values = [known.p_value(value, 0.5) for value in values]
    shares = np.histogram(p_values, 10, (0, 1))[0] / 2000
    assert shares == pytest.approx([0.1] * 10, abs=0.01)


def test_p_value_lies_between_quantiles_in_proportion():
    known = reference(np.linspace(0, 100, 101))
    assert known.p_value(25.5, 0.9) == pytest.approx(0.255)


@pytest.mark.parametrize(("value", "p"), [(-1, 0), (0, 0), (100, 1), (101, 1)])
def test_p_value_at_and_beyond_the_ends(value, p):
    assert reference(np.linspace(0, 100, 101)).p_value(value, 0.9) == p


def test_equal_values_share_their_p_values():
    rng = np.random.default_rng(2)
    values = rng.integers(0, 3, 3000).astype(float)
    known = reference(values)
    p_values = [known.p_value(value, float(rng.random())) for value in values]
    assert np.mean(p_values) == pytest.approx(0.5, abs=0.02)
    assert np.quantile(p_values, 0.25) == pytest.approx(0.25, abs=0.03)


def test_value_that_all_have_is_anywhere():
    known = reference([4.0] * 200)
    assert known.p_value(4.0, 0.2) == pytest.approx(0.2)
    assert known.p_value(3.9, 0.2) == 0
    assert known.p_value(4.1, 0.2) == 1


def test_fewer_validation_images_allow_a_larger_margin():
    few, many = reference(np.arange(100)), reference(np.arange(10_000))
    # sqrt(ln(2 / 0.001) / (2 n)), and a hundredth for the quantiles
    assert few.margin == pytest.approx(0.195 + 0.01, abs=0.001)
    assert many.margin == pytest.approx(0.0195 + 0.01, abs=0.0001)


def test_statistic_without_values_has_no_reference():
    assert ValidationReference.of(Distribution(count=0, quantiles=[]), 0.001) is None


def test_earlier_p_values_are_uniform_from_the_first_value_on():
    rng = np.random.default_rng(3)
    tests = 2000
    earlier = EarlierReference.empty(tests)
    for number in range(4):
        p_values = earlier.add(rng.integers(0, 5, tests).astype(float), rng.random(tests))
        assert np.mean(p_values) == pytest.approx(0.5, abs=0.03), number
        assert np.quantile(p_values, 0.1) == pytest.approx(0.1, abs=0.03), number


def test_statistic_without_a_value_is_not_counted():
    earlier = EarlierReference.empty(2)
    p_values = earlier.add(np.array([1.0, np.nan]), np.array([0.5, 0.5]))
    assert np.isnan(p_values[1])
    assert list(earlier.counts.sum(axis=1)) == [1, 0]


def test_higher_value_than_all_before_has_a_high_p_value():
    earlier = EarlierReference.empty(1)
    for value in (1.0, 2.0, 3.0):
        earlier.add(np.array([value]), np.array([0.5]))
    assert earlier.add(np.array([9.0]), np.array([0.5])) == pytest.approx(3.5 / 4)
