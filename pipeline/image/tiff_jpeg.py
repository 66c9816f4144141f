"""Check the JPEG images that are the strips or tiles of a TIFF file."""

from pipeline.errors import BrokenImage
from pipeline.image.header import jpeg
from pipeline.image.header.directory import Directory
from pipeline.image.header.tiff_blocks import blocks
from pipeline.image.header.tiff_tags import JPEG, NO_COMPRESSION, Tag
from pipeline.image.jpeg_codec import decode_jpeg
from pipeline.image.limits import ImageLimits

# A strip may have a single row. The sides of the whole image are checked before.
_BLOCK_LIMITS = ImageLimits(min_side=1, max_aspect=float("inf"))


def check_jpeg_blocks(data: bytes) -> None:
    """Raise BrokenImage where a strip or tile lacks data, rows, columns or scans.

    libtiff leaves the missing pixels black, and Pillow does not report it.
    """
    directory = Directory.read(data)
    if directory.number(Tag.COMPRESSION, NO_COMPRESSION) != JPEG:
        return
    _, count, offset = directory.entries.get(Tag.JPEG_TABLES, (0, 0, 0))
    tables = data[offset : offset + count][:-2]  # without EOI: the segments of a block follow
    for block in blocks(directory):
        stored = data[block.start : block.end]
        picture = tables + stored[2 if tables else 0 :]
        frame = jpeg.read_frame(picture, _BLOCK_LIMITS)
        if frame.width < block.width or frame.height < block.rows:
            raise BrokenImage(
                "The TIFF image is damaged: a strip or tile of it has fewer pixels than it needs. "
                "Export or transfer it again."
            )
        decode_jpeg(picture, "GRAY")
