from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.contract import MaskCrop
from pipeline.schemas import PolygonMask, RleMask

# Far above what the order of float32 additions can change in a probability.
_TOLERANCE = np.float32(1e-5)

_Box = tuple[float, float, float, float]


def paste(
    probabilities: NDArray[np.float32],
    box: _Box,
    height: int,
    width: int,
    threshold: float = 0.5,
) -> MaskCrop:
    """Puts one instance's mask at its place, as Detectron2's `paste_masks_in_image` does on a CPU.

    probabilities: (M, M) float32 in 0..1, within `box` (XYXY, pixels of the source image).
    A pixel belongs to the mask from `threshold` on. Only the box is computed, never the whole
    image; the crop is then trimmed to the mask's own bounds (0 by 0 pixels where it is empty).
    """
    x1, y1, x2, y2 = (np.float32(side) for side in box)
    if not (x1 < x2 and y1 < y2):
        return _trim(0, 0, np.zeros((0, 0), dtype=np.bool_))
    left, right = _span(x1, x2, width)
    top, bottom = _span(y1, y2, height)
    rows = _positions(top, bottom, y1, y2, len(probabilities))
    columns = _positions(left, right, x1, x2, len(probabilities))
    # Bilinear sampling is separable, so two thin matrix products do it.
    cells = np.arange(len(probabilities), dtype=np.float32)
    values = _weights(rows, cells) @ probabilities @ _weights(columns, cells).T
    pixels = values >= np.float32(threshold)
    # Too close to call after another order of rounding: ask for Detectron2's own.
    close = (values >= threshold - _TOLERANCE) ^ (values >= threshold + _TOLERANCE)
    y, x = np.nonzero(close)
    pixels[y, x] = _sample(probabilities, rows[y], columns[x]) >= np.float32(threshold)
    return _trim(left, top, pixels)


def encode_rle(crop: MaskCrop, height: int, width: int) -> RleMask:
    """What `pycocotools.mask.encode` makes of the mask in its full image, without that image."""
    # COCO counts down the columns. An empty row above and below keeps each column's runs apart.
    framed = np.pad(crop.pixels.T, ((0, 0), (1, 1)))
    changes = np.flatnonzero(framed[:, 1:] != framed[:, :-1])
    column, row = np.divmod(changes, crop.pixels.shape[0] + 1)
    edges = (crop.x + column) * height + crop.y + row
    # Where a run ends at the image's bottom and the next begins at its top, they are one.
    touching = np.flatnonzero(edges[1:-1:2] == edges[2::2])
    edges = np.delete(edges, np.concatenate((2 * touching + 1, 2 * touching + 2)))
    counts = np.diff(edges, prepend=0, append=height * width)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    compressed = coco.frPyObjects(
        {"counts": counts.tolist(), "size": [height, width]}, height, width
    )
    return RleMask(size=(height, width), counts=compressed["counts"].decode("ascii"))


def encode_polygons(crop: MaskCrop) -> PolygonMask:
    """COCO polygons along the pixels' edges, which pycocotools rasterizes to exactly this mask.

    COCO has no holes, so a mask with a hole is cut through it into parts.
    """
    return PolygonMask(polygons=[loop.tolist() for loop in _polygons(crop.pixels, crop.x, crop.y)])


def _span(low: np.float32, high: np.float32, size: int) -> tuple[int, int]:
    # A pixel more on each side, since the mask fades out over its last half cell.
    start = max(int(np.floor(low)) - 1, 0)
    return start, max(min(int(np.ceil(high)) + 1, size), start)


def _positions(
    start: int, stop: int, low: np.float32, high: np.float32, cells: int
) -> NDArray[np.float32]:
    """Each pixel centre's place among the mask's cells, rounded as PyTorch rounds it."""
    centres = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    normal = (centres - low) / (high - low) * np.float32(2) - np.float32(1)
    # PyTorch's kernel multiplies and subtracts in one fused step, rounded once.
    fused = (normal + np.float32(1)).astype(np.float64) * (cells / 2) - 0.5
    return fused.astype(np.float32)


def _weights(positions: NDArray[np.float32], cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """(P,) and (M,) -> (P, M): how much each position takes of each cell; nothing from outside."""
    weights: NDArray[np.float32] = np.float32(1) - np.abs(positions[:, None] - cells)
    return np.maximum(weights, np.float32(0))


def _sample(
    probabilities: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Bilinear values at single positions (K,), summed in the order of PyTorch's `grid_sample`."""
    top, left = np.floor(y), np.floor(x)
    below, right = y - top, x - left
    above, before = np.float32(1) - below, np.float32(1) - right
    # Two cells of zeros on every side; what lies further out is clamped onto them.
    padded = np.pad(probabilities, 2)
    row = np.clip(top, -2, len(probabilities)).astype(np.intp) + 2
    column = np.clip(left, -2, len(probabilities)).astype(np.intp) + 2
    value: NDArray[np.float32] = padded[row, column] * (above * before)
    value += padded[row, column + 1] * (above * right)
    value += padded[row + 1, column] * (below * before)
    value += padded[row + 1, column + 1] * (below * right)
    return value


def _trim(x: int, y: int, pixels: NDArray[np.bool_]) -> MaskCrop:
    rows = np.flatnonzero(pixels.any(axis=1))
    columns = np.flatnonzero(pixels.any(axis=0))
    if not len(rows):
        return MaskCrop(x=x, y=y, pixels=np.zeros((0, 0), dtype=np.bool_))
    top, left = int(rows[0]), int(columns[0])
    inner = pixels[top : rows[-1] + 1, left : columns[-1] + 1]
    return MaskCrop(x=x + left, y=y + top, pixels=np.ascontiguousarray(inner))


def _polygons(pixels: NDArray[np.bool_], x: int, y: int) -> Iterator[NDArray[np.int64]]:
    outlines, holes = _loops(pixels)
    if not holes:
        for loop in outlines:
            yield (loop + np.array((x, y))).ravel()
        return
    # The middle hole's middle column; each half keeps at most half of the holes.
    middles = sorted(int(loop[:, 0].min() + loop[:, 0].max()) // 2 for loop in holes)
    cut = middles[len(middles) // 2]
    yield from _polygons(pixels[:, :cut], x, y)
    yield from _polygons(pixels[:, cut:], x + cut, y)


def _loops(
    pixels: NDArray[np.bool_],
) -> tuple[list[NDArray[np.int64]], list[NDArray[np.int64]]]:
    """The outlines of the mask's parts (joined by sides) and of its holes, as corners (K, 2) XY."""
    framed = np.pad(pixels, 1)
    a, b, c, d = framed[:-1, :-1], framed[:-1, 1:], framed[1:, :-1], framed[1:, 1:]
    # A corner is where one pixel of four differs, or, doubly, where they form a checkerboard.
    crossing = (a == d) & (b == c) & (a != b)
    y, x = np.nonzero((a ^ b ^ c ^ d) | crossing)
    double = crossing[y, x]
    # At each corner one side leads east or west, one south or north. The two corners of a
    # checkerboard each hold on to their own pixel, so pixels that only touch stay apart.
    east, south = (b != d)[y, x] & ~double, (c != d)[y, x] & ~double
    south |= double & b[y, x]  # the western corner belongs to the pixel below where a is empty
    order = np.argsort(np.concatenate((np.arange(len(y)), np.flatnonzero(double) + 0.5)))
    y, x = (np.concatenate((v, v[double]))[order] for v in (y, x))
    south = np.concatenate((south, ~south[double]))[order]
    east = np.concatenate((east, np.ones(int(double.sum()), dtype=np.bool_)))[order]
    # Along a row, and along a column, consecutive corners are the two ends of one side.
    beside = _partners(np.lexsort((east, x, y)))
    below = _partners(np.lexsort((south, y, x)))
    filled = d[y, x].tolist()
    corners = np.stack((x, y), axis=1)
    outlines: list[NDArray[np.int64]] = []
    holes: list[NDArray[np.int64]] = []
    seen = [False] * len(y)
    for first in range(len(y)):
        if seen[first]:
            continue
        loop: list[int] = []
        at = first
        while not seen[at]:
            across = beside[at]
            seen[at] = seen[across] = True
            loop += (at, across)
            at = below[across]
        # In reading order the first corner is the loop's upper left: what lies inside it?
        (outlines if filled[first] else holes).append(corners[loop])
    return outlines, holes


def _partners(order: NDArray[np.intp]) -> list[int]:
    partner: list[int] = [0] * len(order)
    for one, other in order.reshape(-1, 2).tolist():
        partner[one], partner[other] = other, one
    return partner
