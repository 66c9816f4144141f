"""Decode the bytes of an image file to an upright BGR picture.

Every image that the product reads is decoded here. `inspect` checks the structure of the file
first, so the codecs only see files with a bounded size and number of frames and bounded metadata.
The pixels are those of Detectron2's reader.
"""

import hashlib
import io
import logging
import mmap
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Import each plugin that is used, so that Pillow never loads its other plugins during a request.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,  # noqa: F401
    WebPImagePlugin,  # noqa: F401
)

from pipeline.errors import BrokenImage
from pipeline.image import codecs
from pipeline.image.inspect import Header, inspect
from pipeline.image.limits import DEFAULT_LIMITS, ImageLimits
from pipeline.image.orientation import UPRIGHT, Pixels, as_stored, orientation_of, upright_size
from pipeline.schemas import ImageInfo

# At level DEBUG Pillow logs the values of EXIF tags, which may name a patient. The texts of its
# warnings differ for each damaged file, and Python keeps every text that it has shown: hostile
# files would fill the memory.
logging.getLogger("PIL").setLevel(logging.INFO)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# The errors that Pillow raises for damaged files. MemoryError is left out: after our own check of
# the size it means that the host is short of memory, which is not a fault of the image.
PILLOW_ERRORS = (
    OSError,  # truncated or undecodable data; UnidentifiedImageError
    SyntaxError,  # malformed structure
    ValueError,  # metadata bombs, impossible tiles, UnicodeDecodeError; all errors of simplejpeg
    TypeError,  # TIFF tags of the wrong type
    KeyError,  # missing TIFF tags
    IndexError,  # segments that are too short
    EOFError,  # frames that end early
    OverflowError,  # offsets beyond C's integers
    struct.error,  # numbers that are cut off
    zlib.error,
    Image.DecompressionBombError,  # a second, larger size after the first
)


# A picture of more bytes than this gets a memory mapping of its own.
LARGE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """A decoded picture. `pixels` is (H, W, 3) uint8 BGR, upright, contiguous and writable."""

    pixels: Pixels
    info: ImageInfo


def new_pixels(height: int, width: int) -> Pixels:
    """Return uninitialized memory for a picture, (height, width, 3) uint8.

    The memory of a large picture is mapped, so that it returns to the system as soon as the picture
    is deleted, even where the allocator of the process keeps freed memory.
    """
    size = height * width * 3
    if size <= LARGE:
        return np.empty((height, width, 3), dtype=np.uint8)
    return np.frombuffer(mmap.mmap(-1, size), dtype=np.uint8).reshape(height, width, 3)


def decode(
    data: bytes,
    limits: ImageLimits = DEFAULT_LIMITS,
    allocate: Callable[[int, int], Pixels] = new_pixels,
) -> DecodedImage:
    """Return the picture with exactly the pixels of Detectron2's `read_image(path, "BGR")`.

    The result differs where that reader is wrong: 16-bit samples are scaled by 1/256 instead of
    clipped; 16-bit WhiteIsZero is inverted; a TIFF is turned upright once instead of twice; a
    picture that lost pixels is refused. An alpha channel is dropped without blending. Of a JPEG
    with several pictures (MPO, written by phones) the first one is decoded. `allocate` returns the
    memory for (height, width, 3) uint8 pixels.
    Raise UnsupportedImage, ImageTooLarge or BrokenImage.
    """
    header = inspect(data, limits)
    try:
        codecs.check_integrity(data, header.format)
        file = io.BytesIO(codecs.padded(data, header.format))
        with Image.open(file, formats=[header.format]) as image:
            return _decode(data, header, image, allocate)
    except PILLOW_ERRORS as error:
        raise BrokenImage(_damage(error)) from error


def _decode(
    data: bytes, header: Header, image: Image.Image, allocate: Callable[[int, int], Pixels]
) -> DecodedImage:
    # The limits were checked for the size that our own header reader read. Pillow must have read
    # the same one before memory is allocated.
    if image.size not in ((header.width, header.height), (header.height, header.width)):
        raise BrokenImage("The image is damaged: its header contradicts its content.")
    codecs.load(data, header.format, image)
    orientation = UPRIGHT if header.format == "TIFF" else orientation_of(image)
    width, height = upright_size(*image.size, orientation)
    pixels = allocate(height, width)
    codecs.read_pixels(data, header.format, image, as_stored(pixels, orientation))
    info = ImageInfo(
        width=width,
        height=height,
        format=header.format,
        sha256=hashlib.sha256(data).hexdigest(),
        orientation=None if header.format == "TIFF" else orientation,
    )
    return DecodedImage(pixels, info)


def _damage(error: BaseException) -> str:
    """Return what is wrong in plain English, without Pillow's text, which may quote metadata."""
    text = str(error)
    if "runcated" in text or "not enough image data" in text:
        return "The image is cut off: its pixel data ends too early. Export or transfer it again."
    if "too large" in text or "Too much memory" in text:
        return (
            "The image's compressed metadata expands beyond the limit. Export it without metadata."
        )
    return "The image is damaged: its content cannot be decoded. Export or transfer it again."
