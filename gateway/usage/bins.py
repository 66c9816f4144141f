"""The bins in which a statistic's values are counted, the same for every statistic and model."""

from math import copysign, floor, log2

# 16 bins a doubling: a value read from its bin is at most 2.2 % off.
_BINS_A_DOUBLING = 16
# Nearer to zero than this is zero, and beyond the largest is the last bin.
_SMALLEST = 2.0**-14
_LARGEST = 2.0**30
# Bins are numbered from -LAST to LAST; those of negative values are negative, and 0 is zero.
LAST = int(log2(_LARGEST / _SMALLEST)) * _BINS_A_DOUBLING


def bin_of(value: float) -> int:
    """Return the number of the value's bin."""
    size = min(abs(value), _LARGEST)
    if size < _SMALLEST:
        return 0
    number = min(floor(log2(size / _SMALLEST) * _BINS_A_DOUBLING) + 1, LAST)
    return number if value > 0 else -number


def value_of(number: int) -> float:
    """Return the middle of a bin, by the geometric mean of its edges."""
    if number == 0:
        return 0.0
    size: float = _SMALLEST * 2.0 ** ((abs(number) - 0.5) / _BINS_A_DOUBLING)
    return copysign(size, number)
