"""Inputs to which a runtime answers the same as long as its weights are the same."""

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = 128  # pixels


def probe_pictures() -> NDArray[np.uint8]:
    """Return the same pictures each time, (8, _SIDE, _SIDE, 3) uint8.

    They are noise of one size and of all sizes, weak and strong, and two plain ones, so that few
    channels of the layers are zero for all of them: weights that read only zeros are not tested.
    """
    # NumPy keeps the stream of RandomState fixed.
    random = np.random.RandomState(0)

    def noise(side: int) -> NDArray[np.float64]:
        coarse = random.standard_normal((side, side, 3))
        return np.asarray(cv2.resize(coarse, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR))

    def cloud() -> NDArray[np.float64]:
        return np.asarray(np.sum([noise(2**power) for power in range(1, 8)], axis=0))

    pictures = [noise(_SIDE), *(strength * cloud() for strength in (0.3, 1, 1, 1, 3))]
    plain = np.full_like(pictures[0], 2.0)
    # In the mean and the deviations of a channel of a usual picture.
    values = 115 + 58 * np.stack([*pictures, plain, -plain])
    return values.round().clip(0, 255).astype(np.uint8)


def probe_boxes(cells: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the cells (N, cells, C) of each picture as boxes, (M, side, side, C).

    The cells that are left over are those of the smallest feature map.
    """
    channels = cells.shape[2]
    boxes = cells.shape[1] // side**2
    return cells[:, : boxes * side**2].reshape(-1, side, side, channels)
