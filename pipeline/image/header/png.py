import zlib
from collections.abc import Iterator

from pipeline.errors import BrokenImage
from pipeline.image.header.checks import check_exif, check_parts, check_size, cut_off, u32
from pipeline.image.limits import ImageLimits

_MAX_COMPRESSED_TEXTS = 64  # each may inflate to 1 MiB


def read_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Return the stored width and height in pixels of a PNG file.

    An animation whose only frame is the still picture itself is accepted. Raise ImageTooLarge or
    BrokenImage.
    """
    if len(data) < 33:
        raise cut_off("PNG")
    if data[8:16] != b"\0\0\0\rIHDR":
        raise BrokenImage("The PNG image has no header. Export or transfer it again.")
    size = u32(data, 16, ">"), u32(data, 20, ">")
    check_size(*size, limits)
    texts = 0
    for parts, (kind, start, end) in enumerate(_chunks(data)):
        check_parts(parts)
        if kind == b"fdAT":  # a frame of an animation other than the still picture
            raise BrokenImage(
                "The PNG image is animated; one still picture is needed. Export a single frame."
            )
        if kind == b"eXIf":
            check_exif(end - start)
        texts += kind in (b"zTXt", b"iCCP") or _is_compressed_text(data, kind, start, end)
    if texts > _MAX_COMPRESSED_TEXTS:
        raise BrokenImage(
            "The PNG image's compressed metadata expands beyond the limit. Export it without "
            "metadata."
        )
    return size


def _is_compressed_text(data: bytes, kind: bytes, start: int, end: int) -> bool:
    """Return whether a chunk is international text (iTXt) with its compression flag set."""
    flag = data.find(b"\0", start, end) + 1
    return kind == b"iTXt" and start < flag < end and data[flag] != 0


def check_checksums(data: bytes) -> None:
    """Raise BrokenImage for a chunk with a wrong checksum; Pillow verifies only some of them."""
    view = memoryview(data)
    for _, start, end in _chunks(data):
        if zlib.crc32(view[start - 4 : end]) != u32(data, end, ">"):
            raise BrokenImage(
                "The PNG image is damaged: a checksum is wrong. Export or transfer it again."
            )


def _chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield (type, start of content, end of content) of each chunk up to IEND.

    Bytes after IEND are ignored. Raise BrokenImage where the file ends before IEND.
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
