import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def embed(cells: Floats, size: tuple[int, int], input_size: tuple[int, int], stride: int) -> Floats:
    """Return the mean of the last feature map over the image's own area, (C,) float32.

    cells: (sum of h * w, C) of all feature maps, one after the other and row by row. size,
    input_size: (height, width) of the image and of the padded input. stride: of the last map, in
    input pixels. Cells of padding alone are left out.
    """
    height, width = (-(-side // stride) for side in input_size)
    rows, columns = (-(-side // stride) for side in size)
    last = cells[-height * width :].reshape(height, width, -1)
    return np.asarray(last[:rows, :columns].mean(axis=(0, 1)))
