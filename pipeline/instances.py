from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Instances:
    """The instances that a model detected in one image, by descending score, in host memory.

    boxes: (N, 4) float32, XYXY in pixels of the model input (not of the source image).
    scores: (N,) float32 in 0..1.
    classes: (N,) int64, from 0.
    masks: (N, M, M) float32 foreground probabilities within each box; None where the model predicts
    no masks.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    masks: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.scores)


def no_instances() -> Instances:
    """Return the instances of an image in which none are looked for."""
    return Instances(
        boxes=np.zeros((0, 4), np.float32),
        scores=np.zeros(0, np.float32),
        classes=np.zeros(0, np.int64),
        masks=None,
    )


@dataclass(frozen=True, slots=True)
class MaskCrop:
    """A binary mask, cropped to its bounds.

    `pixels` is (h, w) bool; its top left pixel is at column `x`, row `y` of the source image.
    """

    x: int
    y: int
    pixels: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lesion:
    """An instance in the source image. `box` is XYXY in its pixels, clipped to the image."""

    class_id: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    mask: MaskCrop | None
