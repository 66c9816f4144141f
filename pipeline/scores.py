"""Format scores for people, in the same way on the picture, the page and the command line."""

from decimal import ROUND_HALF_UP, Decimal

_TENTH = Decimal("0.1")
_BELOW_CERTAINTY = Decimal("99.9")


def percent(score: float) -> str:
    """Return a score of 0..1 in percent with one decimal, rounded half up: 0.9245 is "92.5 %".

    The decimal digits of the number in the answer's JSON are rounded, so a script that reads the
    JSON can get the same result, as `percent` in the page's script does. A score below 1 is at most
    "99.9 %", because 100 % would read as certainty.
    """
    rounded = (100 * Decimal(repr(score))).quantize(_TENTH, ROUND_HALF_UP)
    return f"{rounded if score >= 1 else min(rounded, _BELOW_CERTAINTY)} %"
