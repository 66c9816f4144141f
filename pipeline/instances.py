from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Instances:
    """What the network found in one image, sorted by falling score, on the host.

    boxes: (N, 4) float32, XYXY in pixels of the model input (not yet of the source image).
    scores: (N,) float32 in 0..1.
    classes: (N,) int64, 0-based.
    masks: (N, M, M) float32 foreground probabilities within each box, or None without masks.
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    classes: NDArray[np.int64]
    masks: NDArray[np.float32] | None

    def __len__(self) -> int:
        return len(self.scores)


@dataclass(frozen=True, slots=True)
class MaskCrop:
    """A binary mask that covers only its box.

    `pixels` is (h, w) bool; its top left pixel lies at column `x`, row `y` of the source image.
    """

    x: int
    y: int
    pixels: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Lesion:
    """One instance in source pixels. `box` is XYXY, clipped to the image."""

    class_id: int
    label: str
    score: float
    box: tuple[float, float, float, float]
    mask: MaskCrop | None
