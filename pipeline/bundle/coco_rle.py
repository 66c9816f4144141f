"""COCO's run-length encoding of masks, checked before pycocotools reads it.

pycocotools takes counts that do not fill the image, and reads memory beyond them.
"""

from collections.abc import Sequence
from typing import Any

from pycocotools import mask as coco


def polygons_to_rle(polygons: Sequence[Sequence[float]], size: tuple[int, int]) -> dict[str, Any]:
    """Return the compressed RLE of polygons ([x1, y1, x2, y2, ...]) in an image.

    size: its height and width. Raise ValueError for a polygon that is none.
    """
    if any(len(polygon) < 6 or len(polygon) % 2 for polygon in polygons):
        raise ValueError("a polygon has fewer than three points, or half of one")
    rle: dict[str, Any] = coco.merge(coco.frPyObjects([list(p) for p in polygons], *size))
    return rle


def checked_rle(counts: str | Sequence[int], size: tuple[int, int]) -> dict[str, Any]:
    """Return the compressed RLE of the counts. Raise ValueError unless they fill the image."""
    runs = decode_counts(counts) if isinstance(counts, str) else list(counts)
    if min(runs, default=0) < 0 or sum(runs) != size[0] * size[1]:
        raise ValueError("the runs of its mask do not fill the image")
    rle: dict[str, Any] = coco.frPyObjects({"counts": runs, "size": list(size)}, *size)
    return rle


def decode_counts(text: str) -> list[int]:
    """Return the lengths of the runs in the text of a compressed RLE, as `rleFrString` reads them.

    Each is written in groups of five bits, the lowest first, from the third on as its difference
    from the run two before it. Raise ValueError for another text.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64:
            raise ValueError("the text of its mask is no run-length encoding")
        value |= (bits & 0x1F) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + (runs[-2] if len(runs) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text of its mask ends within a number")
    return runs
