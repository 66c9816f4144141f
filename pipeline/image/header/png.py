import zlib
from collections.abc import Iterator

from pipeline.errors import BrokenImage
from pipeline.image.header.checks import check_exif, check_parts, check_size, cut_off, u32
from pipeline.image.limits import ImageLimits

_MAX_COMPRESSED_TEXTS = 64  # each may inflate to 1 MiB


def read_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Return the stored width and height in pixels of a PNG file.

    Raise ImageTooLarge or BrokenImage. A single frame of an animation that is the still picture
    itself is a still picture.
    """
    if len(data) < 33:
        raise cut_off("PNG")
    if data[8:16] != b"\0\0\0\rIHDR":
        raise BrokenImage("The PNG image holds no header.")
    size = u32(data, 16, ">"), u32(data, 20, ">")
    check_size(*size, limits)
    texts = 0
    for parts, (kind, start, end) in enumerate(_chunks(data)):
        check_parts(parts)
        if kind == b"fdAT":  # the frames of an animation beyond the still picture
            raise BrokenImage(
                "The PNG image is animated; one still picture is needed. Export a single frame."
            )
        if kind == b"eXIf":
            check_exif(end - start)
        texts += kind in (b"zTXt", b"iCCP") or _is_compressed_text(data, kind, start, end)
    if texts > _MAX_COMPRESSED_TEXTS:
        raise BrokenImage("The PNG image's compressed metadata expands beyond all bounds.")
    return size


def _is_compressed_text(data: bytes, kind: bytes, start: int, end: int) -> bool:
    """Return whether a chunk is international text whose compression flag is set."""
    flag = data.find(b"\0", start, end) + 1
    return kind == b"iTXt" and start < flag < end and data[flag] != 0


def check_checksums(data: bytes) -> None:
    """Raise BrokenImage for a wrong checksum; Pillow verifies those of metadata alone."""
    view = memoryview(data)
    for _, start, end in _chunks(data):
        if zlib.crc32(view[start - 4 : end]) != u32(data, end, ">"):
            raise BrokenImage(
                "The PNG image is damaged: a checksum is wrong. Export or transfer it again."
            )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield the type, and the start and end of the content, of each chunk up to IEND.

    Bytes after IEND are not looked at.
    """
    position, kind = 8, b""
    while kind != b"IEND":
        start = position + 8
        if start > len(data):
            raise cut_off("PNG")
        kind, end = data[position + 4 : start], start + u32(data, position, ">")
        position = end + 4
        if position > len(data):
            raise cut_off("PNG")
        yield kind, start, end
