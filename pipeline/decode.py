"""Bytes of an image file -> the upright BGR picture; the one decoder of both halves.

`inspect` reads the file's structure itself and stops there: no codec runs and nothing is
allocated, so the gateway may run it on hostile bytes. `decode` inspects first and only then
lets Pillow decode, so Pillow never sees a file whose size, frames and metadata were not bounded.
Orientation is read once, here, and the two agree by construction.
"""

import io
import logging
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Iterator
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

from pipeline.errors import BrokenImage, ImageTooLarge, UnsupportedImage
from pipeline.schemas import ImageInfo

# At DEBUG Pillow logs the values of EXIF tags, which may name a patient. Its warnings differ with
# each damaged file, and Python remembers every text it has shown: a leak under hostile load.
logging.getLogger("PIL").setLevel(logging.INFO)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")

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

# Chunks, segments, strips and bytes of junk between them: far above any real file's count,
# far below what would keep Pillow's Python loops busy for seconds.
_MAX_PARTS = 65_536
_MAX_COMPRESSED_TEXTS = 64  # each may inflate to 1 MiB
_MAX_SCANS = 64  # of progressive JPEGs: every scan passes over the whole image

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
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
_JPEG_MARKER = re.compile(rb"\xff[^\xff]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """What is accepted; sides and pixels are those of the stored image."""

    formats: tuple[str, ...] = FORMATS
    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 50_000_000
    min_side: int = 8
    max_aspect: float = 50.0


DEFAULT_LIMITS = ImageLimits()


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """`pixels` is (H, W, 3) uint8, BGR, upright, contiguous and writable."""

    pixels: NDArray[np.uint8]
    info: ImageInfo


@dataclass(frozen=True, slots=True)
class _Header:
    """Sides as stored; `orientation` is EXIF's, 1..8."""

    width: int
    height: int
    orientation: int


_Reader = Callable[[bytes, ImageLimits], _Header]


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
        _check_png_checksums(data)
    try:
        with Image.open(io.BytesIO(data), formats=[info.format]) as image:
            pixels = _pixels(image, header)
    except PILLOW_ERRORS as error:
        raise BrokenImage(_damage(error)) from error
    if pixels.shape != (info.height, info.width, 3):
        raise BrokenImage("The image's header contradicts its content.")
    return DecodedImage(pixels=pixels, info=info)


def _inspect(data: bytes, limits: ImageLimits) -> tuple[ImageInfo, _Header]:
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"The image has more than {limits.max_bytes} bytes.")
    if not data:
        raise BrokenImage("The image is empty.")
    name = _format(data)
    if name is None or name not in limits.formats:
        raise UnsupportedImage(f"Not one of the allowed types: {', '.join(limits.formats)}.")
    header = _READERS[name](data, limits)
    width, height = header.width, header.height
    if header.orientation in _SWAPS_SIDES:
        width, height = height, width
    return ImageInfo(width=width, height=height, format=name), header


def _pixels(image: Image.Image, header: _Header) -> NDArray[np.uint8]:
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
    return np.ascontiguousarray(np.asarray(rgb)[:, :, ::-1])


def _damage(error: BaseException) -> str:
    """One plain sentence; Pillow's own text stays behind, since it may quote metadata."""
    text = str(error)
    if "runcated" in text or "not enough image data" in text:
        return "The image is cut off: its pixel data ends too early."
    if "too large" in text or "Too much memory" in text:
        return "The image's compressed metadata expands beyond all bounds."
    return "The image is damaged: its content cannot be decoded."


def _check_size(width: int, height: int, limits: ImageLimits) -> None:
    if width * height > limits.max_pixels:
        raise ImageTooLarge(f"The image has more than {limits.max_pixels} pixels.")
    if width <= 0 or height <= 0:
        raise BrokenImage("The image has no pixels: a side of it is 0.")
    if min(width, height) < limits.min_side:
        raise BrokenImage(f"The image is too small: each side needs {limits.min_side} pixels.")
    if max(width, height) > limits.max_aspect * min(width, height):
        raise BrokenImage(f"The image is narrower than 1 to {limits.max_aspect:g}.")


def _check_parts(count: int) -> None:
    if count > _MAX_PARTS:
        raise BrokenImage("The image is made of more parts than any real image.")


def _cut_off(name: str) -> BrokenImage:
    return BrokenImage(f"The {name} image is cut off before its end.")


def _format(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM") and (
        len(data) < 18 or _u32(data, 14) in (12, 40, 52, 56, 64, 108, 124)
    ):
        return "BMP"
    return None


def _u16(data: bytes, offset: int, order: str = "<") -> int:
    return int(struct.unpack_from(order + "H", data, offset)[0])


def _u32(data: bytes, offset: int, order: str = "<") -> int:
    return int(struct.unpack_from(order + "I", data, offset)[0])


def _read_jpeg(data: bytes, limits: ImageLimits) -> _Header:
    size: tuple[int, int] | None = None
    exif = xmp = b""
    position, parts = 2, 0
    while True:
        found = _JPEG_MARKER.search(data, position)
        if found is None:
            raise _cut_off("JPEG")
        parts += 1 + found.start() - position
        _check_parts(parts)
        marker, position = data[found.start() + 1], found.end()
        if marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:  # no segment follows these
            continue
        if marker == 0xD9:
            raise BrokenImage("The JPEG image holds no pixel data.")
        if position + 2 > len(data):
            raise _cut_off("JPEG")
        length = _u16(data, position, ">")
        segment = data[position + 2 : position + length]
        if length < 2 or len(segment) < length - 2:
            raise _cut_off("JPEG")
        position += length
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            if length < 8:
                raise _cut_off("JPEG")
            size = _u16(segment, 3, ">"), _u16(segment, 1, ">")
            _check_size(*size, limits)
        elif marker == 0xE1 and segment.startswith(b"Exif\0\0"):
            exif = exif or segment
        elif marker == 0xE1 and segment.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp = segment
        elif marker == 0xDA:
            break
    if size is None:
        raise BrokenImage("The JPEG image holds no header.")
    # In the scans a literal 0xFF is always escaped, so the first such pair is the true end.
    if data.find(b"\xff\xd9", position) < 0:
        raise _cut_off("JPEG")
    if data.count(b"\xff\xda", position) > _MAX_SCANS:
        raise BrokenImage("The JPEG image is made of more scans than any real image.")
    return _Header(*size, _orientation(exif, xmp))


def _read_png(data: bytes, limits: ImageLimits) -> _Header:
    if len(data) < 33:
        raise _cut_off("PNG")
    if data[8:16] != b"\0\0\0\rIHDR":
        raise BrokenImage("The PNG image holds no header.")
    size = _u32(data, 16, ">"), _u32(data, 20, ">")
    _check_size(*size, limits)
    exif = xmp = b""
    texts = 0
    for parts, (kind, start, end) in enumerate(_png_chunks(data)):
        _check_parts(parts)
        if kind == b"acTL":
            raise BrokenImage("The PNG image is animated; one still picture is needed.")
        if kind == b"eXIf":
            exif = data[start:end]
        elif kind in (b"iTXt", b"zTXt", b"iCCP"):
            texts += 1
            if data.startswith(b"XML:com.adobe.xmp\0", start):
                xmp = data[start:end]
    if texts > _MAX_COMPRESSED_TEXTS:
        raise BrokenImage("The PNG image's compressed metadata expands beyond all bounds.")
    return _Header(*size, _orientation(exif, xmp))


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Type, start and end of each chunk's content, through IEND; bytes after it are ignored."""
    position, kind = 8, b""
    while kind != b"IEND":
        start = position + 8
        if start > len(data):
            raise _cut_off("PNG")
        kind, end = data[position + 4 : start], start + _u32(data, position, ">")
        position = end + 4
        if position > len(data):
            raise _cut_off("PNG")
        yield kind, start, end


def _check_png_checksums(data: bytes) -> None:
    # Pillow verifies the checksums of metadata but not those of the pixel data.
    view = memoryview(data)
    for _, start, end in _png_chunks(data):
        if zlib.crc32(view[start - 4 : end]) != _u32(data, end, ">"):
            raise BrokenImage("The PNG image is damaged: a checksum is wrong.")


def _read_webp(data: bytes, limits: ImageLimits) -> _Header:
    if len(data) < 30:
        raise _cut_off("WebP")
    kind, exif, xmp = data[12:16], b"", b""
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        size = _u16(data, 26) & 0x3FFF, _u16(data, 28) & 0x3FFF
    elif kind == b"VP8L" and data[20] == 0x2F:
        bits = _u32(data, 21)
        size = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    elif kind == b"VP8X":
        size = (_u32(data, 23) >> 8) + 1, (_u32(data, 26) >> 8) + 1
    else:
        raise BrokenImage("The WebP image holds no header.")
    _check_size(*size, limits)
    end = 8 + _u32(data, 4)
    if end > len(data):
        raise _cut_off("WebP")
    if kind == b"VP8X" and data[20] & 0x02:
        raise BrokenImage("The WebP image is animated; one still picture is needed.")
    position, parts = 12, 0
    while position + 8 <= end:
        length = _u32(data, position + 4)
        if data.startswith(b"EXIF", position):
            exif = data[position + 8 : position + 8 + length]
        elif data.startswith(b"XMP ", position):
            xmp = data[position + 8 : position + 8 + length]
        position, parts = position + 8 + length + length % 2, parts + 1
        _check_parts(parts)
    return _Header(*size, _orientation(exif, xmp))


def _read_bmp(data: bytes, limits: ImageLimits) -> _Header:
    if len(data) < 26:
        raise _cut_off("BMP")
    if _u32(data, 14) == 12:
        size = _u16(data, 18), _u16(data, 20)
    elif len(data) < 54:
        raise _cut_off("BMP")
    else:
        # A negative height means rows from the top down.
        size = _u32(data, 18), abs(struct.unpack_from("<i", data, 22)[0])
        if _u32(data, 30) in (1, 2):
            # Pillow decodes these byte by byte in Python: half a minute for a large one.
            raise UnsupportedImage("Run-length encoded BMP is not supported.")
    _check_size(*size, limits)
    return _Header(*size, 1)


def _read_tiff(data: bytes, limits: ImageLimits) -> _Header:
    tags, following = _directory(data)
    if following:
        raise BrokenImage("The TIFF image has several pages; one picture is needed.")
    size = tags.get(256, _NO_TAG).value, tags.get(257, _NO_TAG).value
    _check_size(*size, limits)
    # A tile is decoded whole, however little of it the image uses.
    tile = tags.get(322, _NO_TAG).value * tags.get(323, _NO_TAG).value
    if tile > limits.max_pixels:
        raise ImageTooLarge(f"The image has tiles of more than {limits.max_pixels} pixels.")
    for tag in (273, 324):
        _check_parts(tags.get(tag, _NO_TAG).count)
    if tags.get(258, _NO_TAG).value == 12:
        raise BrokenImage("The TIFF image has 12 bits per sample; 8 or 16 are needed.")
    xmp = tags.get(700, _NO_TAG)
    return _Header(*size, _tagged_orientation(tags, data[xmp.value : xmp.value + xmp.count]))


@dataclass(frozen=True, slots=True)
class _Tag:
    """A TIFF tag of whole numbers; `value` is the first of them, or their offset if outside."""

    count: int
    value: int


_NO_TAG = _Tag(0, 0)


def _directory(data: bytes) -> tuple[dict[int, _Tag], int]:
    """The first directory of a TIFF or EXIF block, as far as it is there, and the next's offset."""
    order = "<" if data.startswith(b"II") else ">"
    tags: dict[int, _Tag] = {}
    try:
        offset = _u32(data, 4, order)
        count = _u16(data, offset, order)
        for entry in range(offset + 2, offset + 2 + 12 * count, 12):
            tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
            single = _u16 if kind == 3 and length <= 2 else _u32
            if kind in (1, 3, 4, 7):
                tags.setdefault(tag, _Tag(length, single(data, entry + 8, order)))
        return tags, _u32(data, offset + 2 + 12 * count, order)
    except struct.error:  # EXIF is often cut short; a TIFF then lacks its size or its pixels
        return tags, 0


def _orientation(exif: bytes, xmp: bytes) -> int:
    exif = exif.removeprefix(b"Exif\0\0")
    tags = _directory(exif)[0] if exif.startswith((b"II*\0", b"MM\0*")) else {}
    return _tagged_orientation(tags, xmp)


def _tagged_orientation(tags: dict[int, _Tag], xmp: bytes) -> int:
    if 274 in tags:
        value = tags[274].value
    else:
        written = _XMP_ORIENTATION.search(xmp)
        value = int(written[1]) if written else 1
    return value if value in _TRANSPOSE else 1


_READERS: dict[str, _Reader] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "TIFF": _read_tiff,
    "WEBP": _read_webp,
    "BMP": _read_bmp,
}
