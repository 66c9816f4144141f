"""Decode JPEG with libjpeg, and raise an error where it would have to invent pixels."""

import simplejpeg

from pipeline.errors import BrokenImage
from pipeline.image.header import jpeg
from pipeline.image.orientation import Pixels

_LOST = "it lost pixel data"
_LEFT_OVER = "it holds bytes that belong to no row of pixels, so that data may have been lost"


def decode_jpeg(data: bytes, colours: str, buffer: Pixels | None = None) -> Pixels:
    """Return the pixels, (H, W, C) uint8, in simplejpeg's colour space `colours`.

    They are written into `buffer`, if any. Raise BrokenImage where libjpeg warns; Pillow hides its
    warnings. Some warnings concern headers only, and decoding stops at the first warning. So a file
    that fails is decoded once more, equally strictly, without the headers that no pixel needs.
    """
    try:
        return _decode(data, colours, buffer)
    except ValueError:
        plain = jpeg.without_oddities(data)
    try:
        return _decode(plain, colours, buffer)
    except ValueError as error:
        reason = _LEFT_OVER if "extraneous bytes" in str(error) else _LOST
        raise BrokenImage(
            f"The JPEG image is damaged: {reason}. Export or transfer it again."
        ) from error


def _decode(data: bytes, colours: str, buffer: Pixels | None) -> Pixels:
    pixels: Pixels = simplejpeg.decode_jpeg(data, colours, buffer=buffer, strict=True)
    return pixels
