"""Bytes of an image file -> the upright BGR picture; the one decoder of the product.

`inspect` judges the file's structure first, so the decoders see only files whose size, frames and
metadata are bounded. The pixels are those of Detectron2's reader.
"""

import io
import logging
import mmap
import struct
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

# Each plugin is imported here, so that Pillow never loads its other plugins during a request.
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

# At DEBUG Pillow logs the values of EXIF tags, which may name a patient. Its warnings differ with
# each damaged file, and Python remembers every text it has shown: a leak under hostile load.
logging.getLogger("PIL").setLevel(logging.INFO)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# What Pillow raises on damaged files. MemoryError is not among them: behind our own size check
# it means that the host is short of memory, which is not the image's fault.
PILLOW_ERRORS = (
    OSError,  # truncated or undecodable data; UnidentifiedImageError
    SyntaxError,  # malformed structure
    ValueError,  # metadata bombs, impossible tiles; UnicodeDecodeError; simplejpeg's only error
    TypeError,  # TIFF tags of the wrong type
    KeyError,  # TIFF tags that are missing
    IndexError,  # segments shorter than their kind
    EOFError,  # frames that end early
    OverflowError,  # offsets beyond C's integers
    struct.error,  # numbers cut short
    zlib.error,
    Image.DecompressionBombError,  # a second, larger size hidden behind the first
)


LARGE = 16 * 1024 * 1024  # bytes


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """`pixels` is (H, W, 3) uint8, BGR, upright, contiguous and writable."""

    pixels: Pixels
    info: ImageInfo


def new_pixels(height: int, width: int) -> Pixels:
    """Return memory for a picture, (height, width, 3) uint8.

    That of a large one is mapped, so that the system has it back when the picture is gone,
    whatever the process's allocator keeps.
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
    """Decode as Detectron2's `read_image(path, "BGR")` does, bit for bit, and more strictly.

    It differs where that reader errs: 16-bit samples are scaled by 1/256, not clipped; 16-bit
    WhiteIsZero is inverted; a TIFF is turned upright once, not twice; a picture that lost pixels
    is refused. Transparency is dropped, not composed. Of a JPEG with several pictures (MPO, as
    phones write) the first is taken. `allocate` gives the memory for (height, width, 3) pixels.
    Raise what `inspect` raises.
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
    # Both sizes were judged only as our own reader saw them; nothing is allocated for another.
    if image.size not in ((header.width, header.height), (header.height, header.width)):
        raise BrokenImage("The image is damaged: its header contradicts its content.")
    codecs.load(data, header.format, image)
    orientation = UPRIGHT if header.format == "TIFF" else orientation_of(image)
    width, height = upright_size(*image.size, orientation)
    pixels = allocate(height, width)
    codecs.read_pixels(data, header.format, image, as_stored(pixels, orientation))
    return DecodedImage(pixels, ImageInfo(width=width, height=height, format=header.format))


def _damage(error: BaseException) -> str:
    """Return one plain sentence; Pillow's own text stays behind, since it may quote metadata."""
    text = str(error)
    if "runcated" in text or "not enough image data" in text:
        return "The image is cut off: its pixel data ends too early. Export or transfer it again."
    if "too large" in text or "Too much memory" in text:
        return "The image's compressed metadata expands beyond all bounds."
    return "The image is damaged: its content cannot be decoded. Export or transfer it again."
