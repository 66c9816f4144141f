from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.instances import MaskCrop
from pipeline.schemas import PolygonMask, RleMask

# Far above what the order of float32 additions can change in a probability.
_TOLERANCE = 1e-5
# Pixels too close to call are looked at so many at a time, to bound the memory.
_CLOSE_AT_ONCE = 1 << 18

_Box = tuple[float, float, float, float]
_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RunMask:
    """A binary mask as the ends of its runs down the columns; it costs its outline, not its area.

    `edges` is (2K,) int64, rising, a run's first row and then the row after its last, in turn.
    Row y of column x is written x * (height + 1) + y: a run never goes on into the next column.
    """

    edges: _Ints
    height: int
    width: int

    def area(self) -> int:
        """In pixels."""
        return int((self.edges[1::2] - self.edges[::2]).sum())

    def crop(self) -> MaskCrop:
        """The pixels within the mask's own bounds; 0 by 0 of them where it is empty."""
        if not len(self.edges):
            return MaskCrop(x=0, y=0, pixels=np.zeros((0, 0), dtype=np.bool_))
        columns, rows = np.divmod(self.edges, self.height + 1)
        x, y = int(columns[0]), int(rows.min())
        width, height = int(columns[-1]) + 1 - x, int(rows.max()) - y
        ends = (columns - x) * height + rows - y
        lengths = np.diff(ends, prepend=0, append=width * height)
        inside = np.arange(len(lengths)) % 2 == 1
        pixels = np.repeat(inside, lengths).reshape(width, height)
        return MaskCrop(x=x, y=y, pixels=np.ascontiguousarray(pixels.T))


def paste(
    probabilities: NDArray[np.float32],
    box: _Box,
    height: int,
    width: int,
    threshold: float = 0.5,
) -> RunMask:
    """Puts one instance's mask at its place, as Detectron2's `paste_masks_in_image` does on a CPU.

    probabilities: (M, M) float32 in 0..1, within `box` (XYXY, pixels of the source image).
    A pixel belongs to the mask from `threshold` (above 0) on.
    """
    assert threshold > _TOLERANCE
    x1, y1, x2, y2 = (np.float32(side) for side in box)
    if not (x1 < x2 and y1 < y2):
        return RunMask(np.zeros(0, dtype=np.int64), height, width)
    left, right = _span(x1, x2, width)
    top, bottom = _span(y1, y2, height)
    rows = _positions(top, bottom, y1, y2, len(probabilities))
    columns = _positions(left, right, x1, x2, len(probabilities))
    # Bilinear sampling is separable: down one column of pixels, the value runs straight from each
    # row of cells to the next, so where it crosses the threshold can be computed.
    cells = np.arange(len(probabilities))
    across = np.maximum(1 - np.abs(columns[:, None] - cells), 0)
    values = np.pad(across @ probabilities.T.astype(np.float64), ((0, 0), (1, 1)))
    stride, origin = height + 1, left * (height + 1) + top
    sure = origin + _crossings(values, rows, threshold + _TOLERANCE, stride)
    possible = origin + _crossings(values, rows, threshold - _TOLERANCE, stride)
    inside = [sure]
    # Too close to call after another order of rounding: ask for Detectron2's own.
    for close in _pixels(_odd(sure, possible)):
        x, y = np.divmod(close - origin, stride)
        chosen = close[_sample(probabilities, rows[y], columns[x]) >= np.float32(threshold)]
        inside += (chosen, chosen + 1)
    return RunMask(_odd(*inside), height, width)


def encode_rle(mask: RunMask) -> RleMask:
    """What `pycocotools.mask.encode` makes of the mask in its full image, without that image."""
    # Where a run ends at the image's bottom and the next begins at its top, COCO has one.
    edges = _odd(mask.edges - mask.edges // (mask.height + 1))
    counts = np.diff(edges, prepend=0, append=mask.height * mask.width)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    size = mask.height, mask.width
    compressed = coco.frPyObjects({"counts": counts.tolist(), "size": size}, *size)
    return RleMask(size=size, counts=compressed["counts"].decode("ascii"))


def encode_polygons(mask: RunMask) -> PolygonMask | None:
    """Return COCO polygons along the pixels' edges, or None for an empty mask.

    Every ring is simple: it visits no point twice. pycocotools rasterizes them to exactly this
    mask. COCO has no holes, so a mask with holes is cut through all of them into strips.
    """
    if not len(mask.edges):
        return None
    # Where pixels touch at a corner only, the outline may go round either of the two pairs: mask or
    # hole. A hole is taken as what no path along sides leads out of, so mask pixels are joined
    # there to find the holes. Once each hole is cut open, two mask pixels that touch are not joined
    # in any other way, and apart from each other no outline comes by their corner twice.
    loops = _loops(mask, np.zeros(0, dtype=np.int64), joined=True)
    if not loops.outer.all():
        loops = _loops(mask, _cuts(loops), joined=False)
        assert loops.outer.all()
    elif loops.touches:
        loops = _loops(mask, np.zeros(0, dtype=np.int64), joined=False)
    numbers = loops.corners.astype(np.float64).ravel().tolist()
    bounds = [*(2 * loops.starts).tolist(), len(numbers)]
    return PolygonMask(polygons=[numbers[start:stop] for start, stop in pairwise(bounds)])


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


def _crossings(
    values: NDArray[np.float64], rows: NDArray[np.float32], level: float, stride: int
) -> _Ints:
    """The edges of what is at or above `level`.

    values: (columns, M + 2), at the cells' centres from -1, where it is 0, to M, where it is 0.
    """
    above = values >= level
    column, cell = np.nonzero(above[:, 1:] != above[:, :-1])
    before, after = values[column, cell], values[column, cell + 1]
    place = cell - 1 + (level - before) / (after - before)
    return _odd(column * stride + np.searchsorted(rows.astype(np.float64), place))


def _odd(*edges: _Ints) -> _Ints:
    """The edges of the exclusive or: two at one place cancel each other."""
    places, counts = np.unique(np.concatenate(edges), return_counts=True)
    odd: _Ints = places[counts % 2 == 1]
    return odd


def _pixels(edges: _Ints) -> Iterator[_Ints]:
    """Every place within the runs, some at a time."""
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    ends = np.cumsum(lengths)
    for first in range(0, int(lengths.sum()), _CLOSE_AT_ONCE):
        number = np.arange(first, min(first + _CLOSE_AT_ONCE, int(ends[-1])))
        run = np.searchsorted(ends, number, side="right")
        yield starts[run] + number - (ends - lengths)[run]


def _sample(
    probabilities: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Bilinear values at single positions (K,), to the last bit of PyTorch's `grid_sample`."""
    top, left = np.floor(y), np.floor(x)
    below, right = y - top, x - left
    above, before = np.float32(1) - below, np.float32(1) - right
    # Two cells of zeros on every side; what lies further out is clamped onto them.
    padded = np.pad(probabilities, 2)
    row = np.clip(top, -2, len(probabilities)).astype(np.intp) + 2
    column = np.clip(left, -2, len(probabilities)).astype(np.intp) + 2
    value: NDArray[np.float32] = padded[row, column] * (above * before)
    for corner, weight in (
        (padded[row, column + 1], above * right),
        (padded[row + 1, column], below * before),
        (padded[row + 1, column + 1], below * right),
    ):
        # Its vector code multiplies and adds in one step, rounded once.
        value = (corner.astype(np.float64) * weight + value).astype(np.float32)
    return value


@dataclass(frozen=True, slots=True)
class _Loops:
    """The outlines of a mask's parts and of its holes, one after the other.

    corners: (K, 2) XY. starts: (L,), each loop's first corner. outer: (L,), whether it is a part's.
    touches: whether there are pixels that touch at a corner only.
    """

    corners: _Ints
    starts: _Ints
    outer: NDArray[np.bool_]
    touches: bool


def _cuts(loops: _Loops) -> _Ints:
    """The fewest columns that meet every hole, each in the middle of the holes it meets."""
    x = loops.corners[:, 0]
    ends = np.maximum.reduceat(x, loops.starts)[~loops.outer].tolist()
    starts = np.minimum.reduceat(x, loops.starts)[~loops.outer].tolist()
    columns: list[int] = []
    low = high = -1
    for end, start in sorted(zip(ends, starts, strict=True)):
        if start <= high:
            low = max(low, start)
        else:
            low, high = start, end
            columns.append(0)
        columns[-1] = (low + high) // 2
    return np.array(columns)


def _loops(mask: RunMask, cuts: _Ints, *, joined: bool) -> _Loops:
    """Return the outlines of the mask.

    cuts: columns before which the mask is cut, rising. joined: whether pixels that touch at a
    corner only are of one part; if not, the holes there are of one.
    """
    corners, down, filled, touches = _corners(mask, cuts, joined)
    # In reading order 2k and 2k + 1 are the ends of one horizontal side; go along it, then on.
    following = down[np.arange(len(corners)) ^ 1].tolist()
    path: list[int] = []
    firsts: list[int] = []
    starts: list[int] = []
    seen = bytearray(len(corners))
    for first in range(0, len(corners), 2):
        if seen[first >> 1]:
            continue
        firsts.append(first)
        starts.append(2 * len(path))
        at = first
        while not seen[at >> 1]:
            seen[at >> 1] = 1
            path.append(at)
            at = following[at]
    sides = np.array(path, dtype=np.int64)
    ends = np.stack((sides, sides ^ 1), axis=1).ravel()
    # In reading order the first corner is the loop's upper left: what lies inside it?
    outer = filled[np.array(firsts, dtype=np.int64)]
    return _Loops(corners[ends], np.array(starts, dtype=np.int64), outer, touches)


def _corners(
    mask: RunMask, cuts: _Ints, joined: bool
) -> tuple[_Ints, _Ints, NDArray[np.bool_], bool]:
    """Return all corners (K, 2) XY in reading order, each one's partner on its vertical side,
    whether the pixel to its lower right, if the corner leads there, belongs to the mask, and
    whether any two corners meet."""
    stride = mask.height + 1
    strips = np.searchsorted(cuts, mask.edges // stride, side="right")
    # Each end of a run is seen from both borders of its column. Strips stand a column apart.
    west = mask.edges + strips * stride
    place = np.concatenate((west, west + stride))
    east = np.arange(len(place)) < len(west)  # does a horizontal side lead east from there?
    filled = (np.arange(len(place)) % 2 == 0) == east
    # Where two columns begin or end a run alike, the side goes straight on: no corner. Where they
    # do the opposite, four pixels form a checkerboard and two corners meet. Where each goes round
    # its own pixel of the mask, pixels that only touch stay apart: then the one of the upper pixel
    # comes first. The other way each goes round its own pixel of the hole, and joins them.
    key = 2 * place + ((east == filled) != joined)
    order = np.argsort(key, kind="stable")
    changes = np.diff(key[order]) != 0
    corner = np.ones(len(order), dtype=np.bool_)
    corner[1:] &= changes
    corner[:-1] &= changes
    order = order[corner]
    touches = bool((np.diff(place[order]) == 0).any())
    # Down a column of corners, and along a row, 2k and 2k + 1 are the two ends of one side.
    x, y = np.divmod(place[order], stride)
    reading = np.lexsort((east[order], x, y))
    number = np.empty_like(reading)
    number[reading] = np.arange(len(reading))
    corners = np.stack((x - np.tile(strips, 2)[order], y), axis=1)
    return corners[reading], number[reading ^ 1], filled[order][reading], touches
