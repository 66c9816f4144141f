"""Bytes of an image file -> the upright BGR picture; the one decoder of both halves.

`inspect` reads the file's structure itself (in `headers`) and stops there: no codec runs and
nothing is allocated, so the gateway may run it on hostile bytes. `decode` inspects first and only
then lets Pillow decode, so Pillow never sees a file whose size, frames and metadata were not
bounded. Orientation is read once, here, and the two agree by construction.
"""

import io
import logging
import struct
import warnings
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Each plugin is imported here, so that Pillow never loads its other plugins during a request.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,
    WebPImagePlugin,  # noqa: F401
)

from pipeline.errors import BrokenImage
from pipeline.headers import (
    DEFAULT_LIMITS,
    FORMATS,
    Header,
    ImageLimits,
    check_png_checksums,
    read_header,
)
from pipeline.schemas import ImageInfo

__all__ = ["DEFAULT_LIMITS", "FORMATS", "DecodedImage", "ImageLimits", "decode", "inspect"]

# At DEBUG Pillow logs the values of EXIF tags, which may name a patient. Its warnings differ with
# each damaged file, and Python remembers every text it has shown: a leak under hostile load.
logging.getLogger("PIL").setLevel(logging.INFO)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

# What Pillow raises on damaged files. MemoryError is not among them: behind our own size check
# it means that the host is short of memory, which is not the image's fault.
PILLOW_ERRORS = (
    OSError,  # truncated or undecodable data; UnidentifiedImageError
    SyntaxError,  # malformed structure
    ValueError,  # metadata bombs, impossible tiles; UnicodeDecodeError
    TypeError,  # TIFF tags of the wrong type
    KeyError,  # TIFF tags that are missing
    IndexError,  # segments shorter than their kind
    EOFError,  # frames that end early
    OverflowError,  # offsets beyond C's integers
    struct.error,  # numbers cut short
    zlib.error,
    Image.DecompressionBombError,  # a second, larger size hidden behind the first
)

_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SWAPS_SIDES = frozenset({5, 6, 7, 8})


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """`pixels` is (H, W, 3) uint8, BGR, upright, contiguous and writable."""

    pixels: NDArray[np.uint8]
    info: ImageInfo


def inspect(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> ImageInfo:
    """What the file claims to hold, from its header and structure; pixels are not decoded.

    Raises UnsupportedImage, ImageTooLarge or BrokenImage. The width and height are upright.
    """
    return _inspect(data, limits)[0]


def decode(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> DecodedImage:
    """Decodes as Detectron2's `read_image(path, "BGR")` does, bit for bit, and more strictly.

    It differs where that reader errs: 16-bit grey is scaled by 1/256, not clipped, and a TIFF is
    turned upright once, not twice. Transparency is dropped, not composed. Of a JPEG with several
    pictures (MPO, as phones write) the first is taken. Raises what `inspect` raises.
    """
    info, header = _inspect(data, limits)
    if info.format == "PNG":
        check_png_checksums(data)
    try:
        with Image.open(io.BytesIO(data), formats=[info.format]) as image:
            pixels = _pixels(image, header)
    except PILLOW_ERRORS as error:
        raise BrokenImage(_damage(error)) from error
    if pixels.shape != (info.height, info.width, 3):
        raise BrokenImage("The image's header contradicts its content.")
    return DecodedImage(pixels=pixels, info=info)


def _inspect(data: bytes, limits: ImageLimits) -> tuple[ImageInfo, Header]:
    name, header = read_header(data, limits)
    width, height = header.width, header.height
    if header.orientation in _SWAPS_SIDES:
        width, height = height, width
    return ImageInfo(width=width, height=height, format=name), header


def _pixels(image: Image.Image, header: Header) -> NDArray[np.uint8]:
    # Both sizes were judged only as our own reader saw them; nothing is allocated for another.
    stored = (header.width, header.height)
    if isinstance(image, TiffImagePlugin.TiffImageFile) and header.orientation in _SWAPS_SIDES:
        stored = stored[::-1]
    if image.size != stored:
        raise BrokenImage("The image's header contradicts its content.")
    if image.mode in ("F", "I"):
        raise BrokenImage("The image holds floating-point or 32-bit samples, not 8 or 16 bits.")
    image.load()
    # Pillow turns a TIFF upright while it loads it; the others are left to the caller.
    method = _TRANSPOSE.get(header.orientation)
    upright: Image.Image = image
    if method is not None and not isinstance(image, TiffImagePlugin.TiffImageFile):
        upright = image.transpose(method)
    if upright.mode.startswith("I;16"):
        upright = Image.fromarray((np.asarray(upright) >> 8).astype(np.uint8))
    upright.info.pop("transparency", None)  # dropped either way; Pillow warns of it
    rgb = upright if upright.mode == "RGB" else upright.convert("RGB")  # which would copy it
    # Pillow turns the channels while it unpacks its own; NumPy would take four times as long.
    bgr = bytearray(rgb.tobytes("raw", "BGR"))
    return np.frombuffer(bgr, dtype=np.uint8).reshape(rgb.height, rgb.width, 3)


def _damage(error: BaseException) -> str:
    """One plain sentence; Pillow's own text stays behind, since it may quote metadata."""
    text = str(error)
    if "runcated" in text or "not enough image data" in text:
        return "The image is cut off: its pixel data ends too early."
    if "too large" in text or "Too much memory" in text:
        return "The image's compressed metadata expands beyond all bounds."
    return "The image is damaged: its content cannot be decoded."
