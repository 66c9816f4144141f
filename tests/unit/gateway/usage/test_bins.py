import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.usage.bins import LAST, bin_of, value_of

values = st.floats(min_value=2**-14, max_value=2**30 * 0.99)


@given(values)
def test_value_of_a_bin_is_near_the_values_in_it(value):
    assert value_of(bin_of(value)) == pytest.approx(value, rel=0.023)
    assert value_of(bin_of(-value)) == -value_of(bin_of(value))


@given(values, values)
def test_bins_are_in_the_order_of_values(first, second):
    low, high = sorted((first, second))
    assert bin_of(-high) <= bin_of(-low) < bin_of(0) < bin_of(low) <= bin_of(high)


def test_small_counts_have_bins_of_their_own():
    assert len({bin_of(count) for count in range(20)}) == 20


@pytest.mark.parametrize("value", [2.0**30, 1e300])
def test_values_beyond_the_last_bin_are_in_it(value):
    assert bin_of(value) == LAST
    assert bin_of(-value) == -LAST
