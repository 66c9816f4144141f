"""Decoding of JPEG by libjpeg, with an error for every pixel that it would have to make up."""

import simplejpeg

from pipeline.errors import BrokenImage
from pipeline.image.header import jpeg
from pipeline.image.orientation import Pixels

_LOST = "it lost pixel data"
_LEFT_OVER = "it holds bytes that belong to no row of pixels, so that data may have been lost"


def decode_jpeg(data: bytes, colours: str, buffer: Pixels | None = None) -> Pixels:
    """Return the pixels as simplejpeg's colour space `colours`, in `buffer` where one is given.

    Raise BrokenImage where libjpeg warns, which Pillow hides. Some of its warnings are of headers
    alone, and it ends at the first; so a file is tried again without the headers that no pixel
    needs, just as strictly.
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
