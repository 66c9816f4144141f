from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Pixels = NDArray[np.uint8]

UPRIGHT = 1
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1..8, that Detectron2's reader finds; 1 where it finds none.

    Like that reader it asks Pillow, which knows where each format keeps Exif and XMP.
    """
    value: Any = image.getexif().get(ExifTags.Base.Orientation)
    # A number of another type counts, as in the dictionary look-up of Detectron2's reader.
    return next((number for number in range(1, 9) if number == value), UPRIGHT)


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return the width and height of the upright picture of a stored one."""
    return (height, width) if orientation in _SIDES_SWAPPED else (width, height)


def as_stored(upright: Pixels, orientation: int) -> Pixels:
    """Return a view of `upright`, (H, W, 3), in the row order of the stored picture.

    What is written into the view lies upright in `upright`, without a copy. The turns are those
    of the EXIF specification (CIPA DC-008, 4.6.5).
    """
    view = upright.transpose(1, 0, 2) if orientation in _SIDES_SWAPPED else upright
    if orientation in (3, 4, 6, 7):
        view = view[::-1]
    if orientation in (2, 3, 7, 8):
        view = view[:, ::-1]
    return view
