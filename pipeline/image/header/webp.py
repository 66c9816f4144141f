import struct
from collections.abc import Iterator

from pipeline.errors import BrokenImage
from pipeline.image.header.checks import check_exif, check_parts, check_size, cut_off, u16, u32
from pipeline.image.limits import ImageLimits

_FRAME_HEADER = 16  # bytes in an ANMF chunk before the chunks of its picture


def read_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Return the stored width and height in pixels of a WebP file.

    An animation of one frame is accepted. Raise ImageTooLarge or BrokenImage.
    """
    if len(data) < (25 if data[12:16] == b"VP8L" else 30):
        raise cut_off("WebP")
    size = _size(data)
    check_size(*size, limits)
    end = 8 + u32(data, 4)
    if end > len(data):
        raise cut_off("WebP")
    frames = 0
    for parts, (kind, start, stop) in enumerate(_chunks(data, 12, end)):
        check_parts(parts)
        frames += kind == b"ANMF"
        if kind == b"EXIF":
            check_exif(stop - start)
    if frames > 1:
        raise BrokenImage(
            "The WebP image is animated; one still picture is needed. Export a single frame."
        )
    return size


def is_animation(data: bytes) -> bool:
    """Return whether a WebP file is an animation, of one frame or more."""
    return data[12:16] == b"VP8X" and bool(data[20] & 0x02)


def picture_alone(data: bytes, less: int = 0) -> bytes:
    """Return a WebP file of the coded pixels alone, without their last `less` bytes.

    No bytes follow them that the codec could read as pixels. A separate alpha channel is left out.
    Raise BrokenImage where there is no picture.
    """
    for kind, start, end in _pictures(data):
        content = data[start : max(start, end - less)]
        picture = kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        width, height = _coded_size(kind, data, start)
        sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
        # A VP8X chunk is optional, but OpenCV does not read files of fewer than 32 bytes.
        canvas = b"VP8X" + struct.pack("<I", 10) + bytes(4) + sides
        body = b"WEBP" + canvas + picture
        return b"RIFF" + struct.pack("<I", len(body)) + body
    raise BrokenImage("The WebP image has no picture. Export or transfer it again.")


def _pictures(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    for kind, start, end in _chunks(data, 12, 8 + u32(data, 4)):
        inner = _chunks(data, start + _FRAME_HEADER, end) if kind == b"ANMF" else ()
        yield from (chunk for chunk in ((kind, start, end), *inner) if chunk[0] in _CODECS)


_CODECS = (b"VP8 ", b"VP8L")


def _chunks(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of content, end of content) of each chunk before `end`."""
    while position + 8 <= end:
        start = position + 8
        length = u32(data, position + 4)
        yield data[position : position + 4], start, min(start + length, end)
        position = start + length + length % 2


def _size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return (u32(data, 23) >> 8) + 1, (u32(data, 26) >> 8) + 1
    return _coded_size(kind, data, 20)


def _coded_size(kind: bytes, data: bytes, start: int) -> tuple[int, int]:
    """Return (width, height) of the coded picture of type `kind` whose content is at `start`."""
    if kind == b"VP8 " and data[start + 3 : start + 6] == b"\x9d\x01\x2a":
        width, height = u16(data, start + 6) & 0x3FFF, u16(data, start + 8) & 0x3FFF
        if width and height:
            return width, height
    if kind == b"VP8L" and data[start : start + 1] == b"\x2f":
        bits = u32(data, start + 1)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    raise BrokenImage("The WebP image has no header. Export or transfer it again.")
