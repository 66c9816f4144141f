"""Loading of PNG by Pillow, with an error for rows that never came."""

import io
from itertools import cycle, islice

from PIL import Image

from pipeline.image.header.checks import cut_off

PATTERN = b"\x5a\xc3\x0f\x96\x69"  # bytes that the last row of a picture hardly consists of
_INVERSE = bytes(byte ^ 0xFF for byte in PATTERN)


def load_png(data: bytes, image: Image.Image) -> None:
    """Load the pixels of a PNG file, of which `image` was opened.

    Raise BrokenImage where rows are missing: Pillow takes compressed data that end with any row
    for whole, and leaves the rows below as they are. Hence the last row is filled beforehand. A
    picture that has the very same row differs from another filling.
    """
    if not _keeps_filling(image, PATTERN):
        return
    with Image.open(io.BytesIO(data), formats=["PNG"]) as again:
        if _keeps_filling(again, _INVERSE):
            raise cut_off("PNG")


def _keeps_filling(image: Image.Image, pattern: bytes) -> bool:
    """Load a PNG, and return whether the row that its data end with is still as it was filled."""
    width, height = image.size
    row = height - 1
    if image.info.get("interlace") and height % 2:
        row -= 1  # the last of Adam7's passes has the second, fourth, sixth row and so on
    filling = Image.frombytes(image.mode, (width, 1), bytes(islice(cycle(pattern), 8 * width)))
    empty = Image.new(image.mode, image.size, None)
    empty.paste(filling, (0, row))
    image.im = empty.im
    image.load()
    return image.crop((0, row, width, row + 1)).tobytes() == filling.tobytes()
