"""Whether an image is good enough for a model, by limits on the statistics of its quality."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from pipeline.schema import Schema
from pipeline.schemas import ImageStatistics, Quality

Side = Literal["low", "high"]
Reason = Literal[
    "too_dark",
    "too_bright",
    "overexposed",
    "glare",
    "low_contrast",
    "out_of_focus",
    "noisy",
    "colour_cast",
    "dark_corners",
    "too_small",
]
# A statistic and a side on which a limit is meant, with the reason for an image beyond it. An image
# has its reasons in this order.
REASONS: Mapping[tuple[str, Side], Reason] = {
    ("luma_mean", "low"): "too_dark",
    ("luma_mean", "high"): "too_bright",
    ("bright_share", "high"): "overexposed",
    ("sharpness", "low"): "out_of_focus",
    ("glare_share", "high"): "glare",
    ("contrast", "low"): "low_contrast",
    ("noise", "high"): "noisy",
    ("red_stops", "low"): "colour_cast",
    ("red_stops", "high"): "colour_cast",
    ("blue_stops", "low"): "colour_cast",
    ("blue_stops", "high"): "colour_cast",
    ("vignette", "high"): "dark_corners",
    ("shorter_side", "low"): "too_small",
}


class Limits(Schema):
    """The lowest and the highest value of a statistic with which an image is gradable."""

    low: float | None = None
    high: float | None = None

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        if self.low is None and self.high is None:
            raise ValueError("give low, high or both")
        if self.low is not None and self.high is not None and self.low > self.high:
            raise ValueError("low is above high")
        return self

    def of(self, side: Side) -> float | None:
        return self.low if side == "low" else self.high


def _known(limits: dict[str, Limits]) -> dict[str, Limits]:
    for name, of_statistic in limits.items():
        for side in ("low", "high"):
            if of_statistic.of(side) is not None and (name, side) not in REASONS:
                known = ", ".join(f"{statistic}.{which}" for statistic, which in REASONS)
                raise ValueError(f"{name}.{side} is no limit; those that there are: {known}")
    return limits


# By the name of the statistic in ImageStatistics.
QualityLimits = Annotated[dict[str, Limits], Field(min_length=1), AfterValidator(_known)]


@dataclass(frozen=True, slots=True)
class Assessor:
    """What tells whether an image is gradable.

    limits: those of the model's bundle; None where it has none. withhold: whether no lesions are
    looked for in an image that is not gradable.
    """

    limits: QualityLimits | None
    withhold: bool = False

    def assess(self, statistics: ImageStatistics) -> Quality:
        if self.limits is None:
            return Quality(statistics=statistics, gradable=None, reasons=[], withheld=False)
        reasons = reasons_against(statistics, self.limits)
        return Quality(
            statistics=statistics,
            gradable=not reasons,
            reasons=list(reasons),
            withheld=self.withhold and bool(reasons),
        )


def reasons_against(statistics: ImageStatistics, limits: QualityLimits) -> list[Reason]:
    """Return why an image with these statistics is not gradable, each reason once."""
    values = statistics.model_dump()
    return list(
        dict.fromkeys(
            reason
            for (name, side), reason in REASONS.items()
            if name in limits and _is_beyond(values[name], side, limits[name].of(side))
        )
    )


def _is_beyond(value: float, side: Side, limit: float | None) -> bool:
    if limit is None:
        return False
    return value < limit if side == "low" else value > limit
