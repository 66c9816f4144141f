import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Pixels = NDArray[np.uint8]

UPRIGHT = 1
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})

# What `getexif` raises of metadata alone.
_EXIF_ERRORS = (
    SyntaxError,  # no TIFF header
    struct.error,  # a TIFF header cut short
    ValueError,  # a PNG's text of the profile that is not hexadecimal
    TypeError,  # Exif or XMP as a PNG's text
)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1..8, that Detectron2's reader finds; 1 where it finds none.

    Like that reader it asks Pillow, which knows where each format keeps Exif and XMP, and ignores
    Exif that cannot be read. A PNG has to be loaded before, or its pixels' errors are Exif's.
    """
    try:
        exif = image.getexif()
    except _EXIF_ERRORS:
        return UPRIGHT
    value: Any = exif.get(ExifTags.Base.Orientation)
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
