"""Load PNG with Pillow, and raise an error for missing rows."""

import io
from itertools import cycle, islice

from PIL import Image

from pipeline.image.header.checks import cut_off

PATTERN = b"\x5a\xc3\x0f\x96\x69"  # an unlikely content of a picture's last row
_INVERSE = bytes(byte ^ 0xFF for byte in PATTERN)


def load_png(data: bytes, image: Image.Image) -> None:
    """Load the pixels of a PNG file into `image`, which was opened from `data`.

    Raise BrokenImage where rows are missing. Pillow accepts compressed data that ends after any
    row, and leaves the rows below unchanged. So the last row is filled with a pattern before
    loading: if the pattern is still there, and a second load keeps the inverse pattern too, the row
    is missing. A picture that really has the pattern as its row does not keep the inverse one.
    """
    if not _keeps_filling(image, PATTERN):
        return
    with Image.open(io.BytesIO(data), formats=["PNG"]) as second_image:
        if _keeps_filling(second_image, _INVERSE):
            raise cut_off("PNG")


def _keeps_filling(image: Image.Image, pattern: bytes) -> bool:
    """Load a PNG over `pattern`; return whether the row that its data ends with was not written."""
    width, height = image.size
    row = height - 1
    if image.info.get("interlace") and height % 2:
        row -= 1  # the last pass of Adam7 holds the second, fourth, sixth row and so on
    filling = Image.frombytes(image.mode, (width, 1), bytes(islice(cycle(pattern), 8 * width)))
    empty = Image.new(image.mode, image.size, None)
    empty.paste(filling, (0, row))
    image.im = empty.im
    image.load()
    return image.crop((0, row, width, row + 1)).tobytes() == filling.tobytes()
