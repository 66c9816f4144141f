from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Anchors:
    """The anchors of one feature map: the same boxes around every position (Faster R-CNN).

    cell: (A, 4) float32 XYXY around (0, 0). stride: input pixels between positions. offset:
    distance of the first position from the image's top left corner, in strides.
    """

    cell: Floats
    stride: int
    offset: float

    def boxes(self, shapes: Ints, rows: Ints, columns: Ints) -> Floats:
        """Return the (N, 4) XYXY anchors of these shapes at these positions, in input pixels.

        shapes, rows, columns: (N,) indices of `cell`, and of the feature map.
        """
        centres = (np.stack((columns, rows), axis=1) + self.offset) * self.stride
        return np.tile(centres, 2).astype(np.float32) + self.cell[shapes]
