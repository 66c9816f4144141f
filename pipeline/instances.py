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
    embedding: (C,) float32, the image as the model sees it: the mean over the image's area of the
    coarsest level of the feature pyramid that the heads use, often p5 with 256 channels. None for a
    model without a pyramid, and after the predictor, since it says more of an image than an answer
    should.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    masks: NDArray[np.float32] | None
    embedding: NDArray[np.float32] | None = None

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
