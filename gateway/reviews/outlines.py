"""Outlines of lesions, as COCO's segmentation lists: [x1, y1, x2, y2, ...] in upright pixels."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

# A lesion in parts has a ring for each.
MOST_RINGS = 50
# Of all rings of a lesion together. An outline along each pixel of a large lesion has 2000 in an
# image of 12 megapixels; one that a person draws has a few hundred.
MOST_POINTS = 10_000

Box = tuple[float, float, float, float]

Side = Annotated[float, Field(ge=0)]


def _rounded(ring: list[float]) -> list[float]:
    """Return the ring in hundredths of a pixel. Raise ValueError for one that encloses nothing."""
    if len(ring) % 2:
        raise ValueError("a ring has an x and a y for each point")
    rounded = [round(side, 2) for side in ring]
    if ring_area(rounded) == 0:
        raise ValueError("a ring encloses no area")
    return rounded


Ring = Annotated[
    list[Side], Field(min_length=6, max_length=2 * MOST_POINTS), AfterValidator(_rounded)
]


def _bounded(rings: list[list[float]]) -> list[list[float]]:
    if point_count(rings) > MOST_POINTS:
        raise ValueError(f"an outline has at most {MOST_POINTS} points")
    return rings


Outline = Annotated[
    list[Ring], Field(min_length=1, max_length=MOST_RINGS), AfterValidator(_bounded)
]


def points_of(ring: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points of a ring, each as x and y."""
    return list(zip(ring[::2], ring[1::2], strict=True))


def point_count(outline: Sequence[Sequence[float]]) -> int:
    return sum(map(len, outline)) // 2


def ring_area(ring: Sequence[float]) -> float:
    """Return the area that a ring encloses, in square pixels, by the shoelace formula."""
    points = points_of(ring)
    closed = pairwise([*points, points[0]])
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in closed)) / 2


def bounds_of(outline: Sequence[Sequence[float]]) -> Box:
    """Return the smallest box around an outline: XYXY in pixels."""
    xs = [x for ring in outline for x in ring[::2]]
    ys = [y for ring in outline for y in ring[1::2]]
    return min(xs), min(ys), max(xs), max(ys)
