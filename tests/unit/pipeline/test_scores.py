from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest

from pipeline.scores import percent


@pytest.mark.parametrize(
    ("score", "text"),
    [
        (0.0, "0.0 %"),
        (5e-324, "0.0 %"),
        (1e-7, "0.0 %"),
        (0.0004, "0.0 %"),
        (0.00049999, "0.0 %"),
        (0.0005, "0.1 %"),
        (0.05, "5.0 %"),
        (0.29, "29.0 %"),
        (0.5005, "50.1 %"),
        (0.57, "57.0 %"),
        (0.9244, "92.4 %"),
        (0.9245, "92.5 %"),
        (0.92449, "92.4 %"),
        (float(np.float32(0.9)), "90.0 %"),
        (0.9994, "99.9 %"),
        (0.9996, "99.9 %"),
        (0.9999999, "99.9 %"),
        (1.0, "100.0 %"),
    ],
)
def test_percent_has_one_decimal_half_up_below_certainty(score, text):
    assert percent(score) == text


def test_percent_rounds_every_four_digit_score_as_decimals_do():
    for number in range(9995):
        exact = (Decimal(number) / 100).quantize(Decimal("0.1"), ROUND_HALF_UP)
        assert percent(number / 10_000) == f"{exact} %"
