import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

# The limit of a predicted log scale, which keeps exp() finite: an anchor of 16 pixels grows to at
# most 1000.
_SCALE_CLAMP = np.float32(math.log(1000.0 / 16))


def apply_deltas(deltas: Floats, boxes: Floats, weights: Sequence[float]) -> Floats:
    """Return the boxes moved and scaled by predicted deltas (R-CNN, appendix C; Fast R-CNN).

    deltas: (N, K, 4) float32, K sets of (dx, dy, dw, dh) for each box. boxes: (N, 4) float32 XYXY.
    weights: the divisors of dx, dy, dw and dh. The result is (N, K, 4) float32 XYXY.
    """
    sides = (boxes[:, 2:] - boxes[:, :2])[:, None]
    centres = boxes[:, None, :2] + np.float32(0.5) * sides
    divisors = np.array(weights, dtype=np.float32)
    # Deltas that are not finite give boxes that are not finite, which are dropped later.
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = deltas / divisors
        centres = scaled[..., :2] * sides + centres
        half = np.float32(0.5) * (np.exp(np.minimum(scaled[..., 2:], _SCALE_CLAMP)) * sides)
        return np.concatenate((centres - half, centres + half), axis=-1)


def clip(boxes: Floats, image_size: tuple[int, int]) -> Floats:
    """Return the (..., 4) XYXY boxes, clipped to an image of (height, width) pixels."""
    height, width = image_size
    return boxes.clip(0, np.array([width, height, width, height], dtype=np.float32))
