def significant(value: float) -> float:
    """Return the value with six significant digits, and 0 without a sign.

    What is compared with a profile has to be rounded as the profile is, so that equal values stay
    equal.
    """
    return float(f"{value:.6g}") + 0.0
