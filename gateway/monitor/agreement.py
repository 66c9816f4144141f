from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.bundle.golden import compare
from pipeline.schemas import Detection


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far an answer is from the expected one; None where that was not measured."""

    max_score_difference: float | None = None
    min_mask_iou: float | None = None
    max_box_pixels: float | None = None


def agreement_of(
    case: str, expected: Sequence[Detection], actual: Sequence[Detection], threshold: float
) -> Agreement:
    """Return how the lesions of a golden case agree. Raise BundleError where they do not."""
    compare(case, expected, actual, threshold)
    return Agreement()
