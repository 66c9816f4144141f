"""The one way in which a score is written for people: picture, page and command line alike."""

from decimal import ROUND_HALF_UP, Decimal

_TENTH = Decimal("0.1")
_BELOW_CERTAINTY = Decimal("99.9")


def percent(score: float) -> str:
    """Return a score of 0..1 in percent with one decimal, half up: 0.9245 is "92.5 %".

    The digits that are rounded are those of the number in the answer's JSON, so that a script
    which reads it comes to the same; `percent` in the page's script does. A score below 1 is at
    most "99.9 %", because 100 % would read as certainty.
    """
    rounded = (100 * Decimal(repr(score))).quantize(_TENTH, ROUND_HALF_UP)
    return f"{rounded if score >= 1 else min(rounded, _BELOW_CERTAINTY)} %"
