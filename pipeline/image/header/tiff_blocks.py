"""Find and check the strips or tiles of a TIFF image."""

from dataclasses import dataclass

from pipeline.errors import BrokenImage
from pipeline.image.header.checks import check_parts
from pipeline.image.header.directory import Directory
from pipeline.image.header.tiff_tags import NO_COMPRESSION, Tag

_MISSING = (
    "The TIFF image is damaged: parts of its pixel data are missing. Export or transfer it again."
)


@dataclass(frozen=True, slots=True)
class Block:
    """A strip or tile.

    Its bytes in the file are `start` to `end`. It is `width` pixels wide. `rows` counts the rows of
    a strip that lie in the picture, or all rows of a tile.
    """

    start: int
    end: int
    width: int
    rows: int


def blocks(directory: Directory) -> list[Block]:
    """Return the strips or tiles in the order of the directory.

    Raise BrokenImage where the directory lists too few or too many of them.
    """
    tiled = Tag.TILE_OFFSETS in directory.entries
    starts = directory.numbers(Tag.TILE_OFFSETS if tiled else Tag.STRIP_OFFSETS)
    lengths = directory.numbers(Tag.TILE_BYTES if tiled else Tag.STRIP_BYTES)
    shapes = _shapes(directory)
    if not len(shapes) == len(starts) == len(lengths) > 0:
        raise BrokenImage(_MISSING)
    return [
        Block(start, start + length, width, rows)
        for start, length, (width, rows) in zip(starts, lengths, shapes, strict=True)
    ]


def missing_bytes(directory: Directory) -> int:
    """Return by how many bytes the last block is said to extend beyond the end of the file.

    No pixel needs these bytes (`check_blocks`), but libtiff does not read a block that lacks them.
    """
    return max(0, *(block.end - len(directory.data) for block in blocks(directory)))


def check_blocks(directory: Directory) -> None:
    """Raise BrokenImage where a strip or tile is missing, too short, or beyond the file.

    libtiff would read past the end of an uncompressed strip that is too short, if it is the only
    strip. The last strip may extend beyond the file by the rows that the picture does not have, or
    by one byte.
    """
    parts = blocks(directory)
    sizes: list[tuple[int, int]] = [(1, 0)] * len(parts)
    if directory.number(Tag.COMPRESSION, NO_COMPRESSION) == NO_COMPRESSION:
        bits = (directory.numbers(Tag.BITS) or (1,))[0]
        samples = 1 if _has_planes(directory) else directory.number(Tag.SAMPLES, 1)
        row = -(-parts[0].width * samples * bits // 8)
        sizes = [(row * part.rows, row * (parts[0].rows - part.rows) + 1) for part in parts]
    for part, (needed, spare) in zip(parts, sizes, strict=True):
        if part.start == part.end:
            raise BrokenImage(_MISSING)
        end = part.start + needed
        if part.start < 8 or end > part.end or max(end, part.end - spare) > len(directory.data):
            raise BrokenImage(
                "The TIFF image is cut off: its pixel data ends too early. Export or transfer it "
                "again."
            )


def _has_planes(directory: Directory) -> bool:
    return directory.number(Tag.PLANAR, 1) == 2


def _shapes(directory: Directory) -> list[tuple[int, int]]:
    """Return (width, rows) of each strip or tile."""
    width, height = directory.number(Tag.WIDTH, 0), directory.number(Tag.HEIGHT, 0)
    tiled = Tag.TILE_OFFSETS in directory.entries
    if tiled:
        across, down = directory.number(Tag.TILE_WIDTH, 0), directory.number(Tag.TILE_HEIGHT, 0)
    else:
        across, down = width, min(height, directory.number(Tag.ROWS_PER_STRIP, height))
    if across <= 0 or down <= 0:
        raise BrokenImage(
            "The TIFF image is damaged: its strips or tiles have no size. Export it again."
        )
    planes = directory.number(Tag.SAMPLES, 1) if _has_planes(directory) else 1
    columns = -(-width // across)
    check_parts(planes * columns * -(-height // down))
    return [
        (across, down if tiled else min(down, height - top))
        for _ in range(planes)
        for top in range(0, height, down)
        for _ in range(columns)
    ]
