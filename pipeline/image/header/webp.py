import struct
from collections.abc import Iterator

from pipeline.errors import BrokenImage
from pipeline.image.header.checks import check_exif, check_parts, check_size, cut_off, u16, u32
from pipeline.image.limits import ImageLimits

_FRAME_HEADER = 16  # bytes of an ANMF chunk before the chunks of its picture


def read_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Return the stored width and height in pixels of a WebP file.

    Raise ImageTooLarge or BrokenImage. An animation of one frame is a still picture.
    """
    if len(data) < 30:
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
    """Return whether a WebP file is written as an animation, of however many frames."""
    return data[12:16] == b"VP8X" and bool(data[20] & 0x02)


def without_end(data: bytes) -> bytes:
    """Return a WebP file of the picture alone, less its last 16 bytes.

    Raise BrokenImage where there is no picture.
    """
    for kind, start, end in _pictures(data):
        content = data[start : max(start, end - 16)]
        body = b"WEBP" + kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
        return b"RIFF" + struct.pack("<I", len(body)) + body
    raise BrokenImage("The WebP image holds no picture.")


def _pictures(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    for kind, start, end in _chunks(data, 12, 8 + u32(data, 4)):
        inner = _chunks(data, start + _FRAME_HEADER, end) if kind == b"ANMF" else ()
        yield from (chunk for chunk in ((kind, start, end), *inner) if chunk[0] in _CODECS)


_CODECS = (b"VP8 ", b"VP8L")


def _chunks(data: bytes, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, and the start and end of the content, of each chunk."""
    while position + 8 <= end:
        start = position + 8
        length = u32(data, position + 4)
        yield data[position : position + 4], start, min(start + length, end)
        position = start + length + length % 2


def _size(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8 " and data[23:26] == b"\x9d\x01\x2a":
        return u16(data, 26) & 0x3FFF, u16(data, 28) & 0x3FFF
    if kind == b"VP8L" and data[20] == 0x2F:
        bits = u32(data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        return (u32(data, 23) >> 8) + 1, (u32(data, 26) >> 8) + 1
    raise BrokenImage("The WebP image holds no header.")
