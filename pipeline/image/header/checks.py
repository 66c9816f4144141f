"""The checks that all formats share, and readers for the integers of headers."""

import struct

from pipeline.errors import BrokenImage, ImageTooLarge
from pipeline.image.limits import ImageLimits

# The most parts of a file: segments, chunks, strips, and bytes of junk between them. No real file
# comes near it, and Pillow's Python loops pass over so many without a delay of seconds.
_MAX_PARTS = 65_536
# Exif of a JPEG fits one segment of 64 KiB. Pillow copies the data of each Exif tag.
_MAX_EXIF_BYTES = 256 * 1024


def check_size(width: int, height: int, limits: ImageLimits) -> None:
    """Raise ImageTooLarge or BrokenImage for a size in pixels that is out of bounds."""
    if width * height > limits.max_pixels:
        raise ImageTooLarge(
            f"The image has {width} x {height} pixels; at most {limits.max_pixels} are accepted. "
            "Scale it down before sending it."
        )
    if width <= 0 or height <= 0:
        raise BrokenImage("The image has no pixels: a side of it is 0. Export it again.")
    if min(width, height) < limits.min_side:
        raise BrokenImage(
            f"The image is too small: it has {width} x {height} pixels, and each side needs at "
            f"least {limits.min_side}. Send it in its original size."
        )
    if max(width, height) > limits.max_aspect * min(width, height):
        raise BrokenImage(
            f"The aspect ratio exceeds {limits.max_aspect:g}:1: the image has {width} x {height} "
            "pixels. Crop it."
        )


def check_parts(count: int) -> None:
    """Raise BrokenImage for a count of segments, chunks or strips that no real image has."""
    if count > _MAX_PARTS:
        raise BrokenImage("The image file has more parts than any real image. Export it again.")


def check_exif(size: int) -> None:
    """Raise BrokenImage for a `size` of Exif metadata in bytes that no real image has."""
    if size > _MAX_EXIF_BYTES:
        raise BrokenImage(
            f"The image holds {size} bytes of Exif metadata; at most {_MAX_EXIF_BYTES} are "
            "accepted. Export it without metadata."
        )


def cut_off(name: str) -> BrokenImage:
    """Return the error for a file of format `name` that ends too early."""
    return BrokenImage(f"The {name} image is cut off before its end. Export or transfer it again.")


def u16(data: bytes, offset: int, order: str = "<") -> int:
    return int(struct.unpack_from(order + "H", data, offset)[0])


def u32(data: bytes, offset: int, order: str = "<") -> int:
    return int(struct.unpack_from(order + "I", data, offset)[0])
