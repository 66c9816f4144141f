import re
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pipeline.errors import BrokenImage, ImageTooLarge, UnsupportedImage

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")

# Chunks, segments, strips and bytes of junk between them: far above any real file's count,
# far below what would keep Pillow's Python loops busy for seconds.
_MAX_PARTS = 65_536
_MAX_COMPRESSED_TEXTS = 64  # each may inflate to 1 MiB
_MAX_SCANS = 64  # of progressive JPEGs: every scan passes over the whole image

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
class Header:
    """Sides as stored; `orientation` is EXIF's, 1..8."""

    width: int
    height: int
    orientation: int


_Reader = Callable[[bytes, ImageLimits], Header]


def read_header(data: bytes, limits: ImageLimits) -> tuple[str, Header]:
    """The format's name, and what its header and structure claim; no codec runs.

    Raises UnsupportedImage, ImageTooLarge or BrokenImage.
    """
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(f"The image has more than {limits.max_bytes} bytes.")
    if not data:
        raise BrokenImage("The image is empty.")
    name = _format(data)
    if name is None or name not in limits.formats:
        raise UnsupportedImage(f"Not one of the allowed types: {', '.join(limits.formats)}.")
    return name, _READERS[name](data, limits)


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


def _read_jpeg(data: bytes, limits: ImageLimits) -> Header:
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
    return Header(*size, _orientation(exif, xmp))


def _read_png(data: bytes, limits: ImageLimits) -> Header:
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
    return Header(*size, _orientation(exif, xmp))


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


def check_png_checksums(data: bytes) -> None:
    # Pillow verifies the checksums of metadata but not those of the pixel data.
    view = memoryview(data)
    for _, start, end in _png_chunks(data):
        if zlib.crc32(view[start - 4 : end]) != _u32(data, end, ">"):
            raise BrokenImage("The PNG image is damaged: a checksum is wrong.")


def _read_webp(data: bytes, limits: ImageLimits) -> Header:
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
    return Header(*size, _orientation(exif, xmp))


def _read_bmp(data: bytes, limits: ImageLimits) -> Header:
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
    return Header(*size, 1)


def _read_tiff(data: bytes, limits: ImageLimits) -> Header:
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
    return Header(*size, _tagged_orientation(tags, data[xmp.value : xmp.value + xmp.count]))


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
    return value if 1 <= value <= 8 else 1


_READERS: dict[str, _Reader] = {
    "JPEG": _read_jpeg,
    "PNG": _read_png,
    "TIFF": _read_tiff,
    "WEBP": _read_webp,
    "BMP": _read_bmp,
}
