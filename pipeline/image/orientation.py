import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

Pixels = NDArray[np.uint8]

UPRIGHT = 1
_SIDES_SWAPPED = frozenset({5, 6, 7, 8})

# The errors that `getexif` raises for damaged metadata.
_EXIF_ERRORS = (
    SyntaxError,  # no TIFF header
    struct.error,  # a truncated TIFF header
    ValueError,  # the text of a PNG's raw profile is not hexadecimal
    TypeError,  # Exif or XMP stored as text of a PNG
)


def orientation_of(image: Image.Image) -> int:
    """Return the EXIF orientation, 1..8, as Detectron2's reader does; 1 without one.

    Like that reader, use Pillow's `getexif`, which knows where each format keeps Exif and XMP, and
    ignore Exif that cannot be read. Load the pixels of a PNG before the call: otherwise `getexif`
    loads them, and an error in the pixels would be ignored as one of Exif.
    """
    try:
        exif = image.getexif()
    except _EXIF_ERRORS:
        return UPRIGHT
    value: Any = exif.get(ExifTags.Base.Orientation)
    # Compare by value, as the dictionary look-up of Detectron2's reader does: 6.0 counts as 6.
    return next((number for number in range(1, 9) if number == value), UPRIGHT)


def upright_size(width: int, height: int, orientation: int) -> tuple[int, int]:
    """Return (width, height) of the upright picture, given those of the stored one."""
    return (height, width) if orientation in _SIDES_SWAPPED else (width, height)


def as_stored(upright: Pixels, orientation: int) -> Pixels:
    """Return a view of `upright`, (H, W, 3), in the rows and columns of the stored picture.

    A decoder that writes the stored rows into the view fills `upright` without a copy. The
    orientations are defined in the EXIF specification (CIPA DC-008, 4.6.5).
    """
    view = upright.transpose(1, 0, 2) if orientation in _SIDES_SWAPPED else upright
    if orientation in (3, 4, 6, 7):
        view = view[::-1]
    if orientation in (2, 3, 7, 8):
        view = view[:, ::-1]
    return view
