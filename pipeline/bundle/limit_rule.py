"""The limits of a gradable image that follow from the images that a model was validated on."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pipeline.bundle.profile import Distribution
from pipeline.image.gradability import REASONS, Limits, QualityLimits, Side
from pipeline.rounding import significant

# Fewer images do not tell how far the rarest hundredth of them lies from the others.
MIN_IMAGES = 100

RULE = (
    "twice as far from the median of the validation images as the quantile of 1 % (or 99 %), in "
    "logarithms for sharpness, contrast, noise and shorter_side, and at least the margin of "
    "docs/models.md beyond that quantile"
)


@dataclass(frozen=True, slots=True)
class _Scale:
    """How a statistic's distances are measured.

    margin: the least distance from the quantile to the limit, which matters where nearly all
    images are alike: a difference in the statistic's own unit, or a factor in logarithms.
    range: the values that the statistic can have.
    """

    kind: Literal["linear", "logarithmic"]
    margin: float
    range: tuple[float, float] = (-math.inf, math.inf)

    def limit(self, quantile: float, median: float, side: Side) -> float | None:
        """Return the limit, or None where every value of the statistic is within it."""
        if self.kind == "linear":
            distance = max(abs(quantile - median), self.margin)
            limit = quantile - distance if side == "low" else quantile + distance
        elif min(quantile, median) > 0:
            ratio = median / quantile if side == "low" else quantile / median
            factor = max(ratio, self.margin)
            limit = quantile / factor if side == "low" else quantile * factor
        else:  # no limit is as far from 0 as 0 is
            return None
        lowest, highest = self.range
        return significant(limit) if lowest < limit < highest else None


_SIDES: tuple[tuple[Side, float], ...] = (("low", 0.01), ("high", 0.99))

_SCALES: Mapping[str, _Scale] = {
    "luma_mean": _Scale("linear", 0.05, (0, 1)),
    "bright_share": _Scale("linear", 0.02, (0, 1)),
    "glare_share": _Scale("linear", 0.02, (0, 1)),
    "red_stops": _Scale("linear", 0.25),
    "blue_stops": _Scale("linear", 0.25),
    "vignette": _Scale("linear", 0.1, (-1, 1)),
    "sharpness": _Scale("logarithmic", 1.25),
    "contrast": _Scale("logarithmic", 1.25),
    "noise": _Scale("logarithmic", 1.25),
    "shorter_side": _Scale("logarithmic", 1.5),
}


def derive_limits(quality: Mapping[str, Distribution]) -> QualityLimits | None:
    """Return limits by the RULE from the distributions of the quality statistics, by their names.

    Return None for fewer than 100 images.
    """
    limits: dict[str, Limits] = {}
    for name, scale in _SCALES.items():
        values = quality[name]
        if values.count < MIN_IMAGES:
            return None
        median = values.quantile(0.5)
        low, high = (
            scale.limit(values.quantile(share), median, side) if (name, side) in REASONS else None
            for side, share in _SIDES
        )
        if low is not None or high is not None:
            limits[name] = Limits(low=low, high=high)
    return limits
