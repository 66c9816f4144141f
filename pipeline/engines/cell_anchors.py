import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def cell_anchors(sizes: Sequence[float], aspect_ratios: Sequence[float]) -> NDArray[np.float32]:
    """Return (len(sizes) * len(aspect_ratios), 4) XYXY boxes around (0, 0).

    A size is the square root of the area in pixels; an aspect ratio is height / width.
    """
    anchors = []
    for size in sizes:
        for ratio in aspect_ratios:
            width = math.sqrt(size**2.0 / ratio)
            height = ratio * width
            anchors.append([-width / 2.0, -height / 2.0, width / 2.0, height / 2.0])
    return np.array(anchors, dtype=np.float32)
