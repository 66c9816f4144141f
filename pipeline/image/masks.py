from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from pipeline.instances import MaskCrop
from pipeline.schemas import PolygonMask, RleMask

# The order of float32 additions changes a probability by far less than this.
_TOLERANCE = 1e-5
# The number of pixels near the threshold that are sampled at a time, to bound the memory.
_SAMPLES_PER_PASS = 1 << 18

_Box = tuple[float, float, float, float]
_Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class RunMask:
    """A binary mask of (height, width) pixels as the ends of its runs down the columns.

    Its memory grows with the outline of the mask, not with its area. `edges` is (2K,) int64,
    rising: for each run its first row, then the row after its last. Row y of column x is encoded as
    x * (height + 1) + y, so that no run continues in the next column.
    """

    edges: _Ints
    height: int
    width: int

    def area(self) -> int:
        """Return the area of the mask in pixels."""
        return int((self.edges[1::2] - self.edges[::2]).sum())

    def crop(self) -> MaskCrop:
        """Return the mask cropped to its bounds; (0, 0) pixels where it is empty."""
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
    """Return the mask of one instance in its image of `height` by `width` pixels.

    The pixels are those of Detectron2's `paste_masks_in_image` on a CPU.
    probabilities: (M, M) float32 in 0..1, within `box` (XYXY, pixels of the source image).
    threshold: the probability, above 0, from which on a pixel belongs to the mask.
    """
    assert threshold > _TOLERANCE
    x1, y1, x2, y2 = (np.float32(side) for side in box)
    if not (x1 < x2 and y1 < y2):
        return RunMask(np.zeros(0, dtype=np.int64), height, width)
    left, right = _span(x1, x2, width)
    top, bottom = _span(y1, y2, height)
    rows = _positions(top, bottom, y1, y2, len(probabilities))
    columns = _positions(left, right, x1, x2, len(probabilities))
    # Bilinear sampling is separable: down a column of pixels, the value is linear between two rows
    # of cells. So the places where it crosses the threshold are computed, not searched.
    cells = np.arange(len(probabilities))
    across = np.maximum(1 - np.abs(columns[:, None] - cells), 0)
    values = np.pad(across @ probabilities.T.astype(np.float64), ((0, 0), (1, 1)))
    stride, origin = height + 1, left * (height + 1) + top
    certain_edges = origin + _crossings(values, rows, threshold + _TOLERANCE, stride)
    possible_edges = origin + _crossings(values, rows, threshold - _TOLERANCE, stride)
    inside = [certain_edges]
    # For pixels this near to the threshold the order of rounding decides: sample as PyTorch does.
    for places in _pixels(_xor(certain_edges, possible_edges)):
        x, y = np.divmod(places - origin, stride)
        pixels = places[_sample(probabilities, rows[y], columns[x]) >= np.float32(threshold)]
        inside += (pixels, pixels + 1)
    return RunMask(_xor(*inside), height, width)


def encode_rle(mask: RunMask) -> RleMask:
    """Return the mask in COCO's compressed RLE.

    The text is that of `pycocotools.mask.encode` for the (H, W) mask, which is never allocated.
    """
    # COCO joins a run that ends at the bottom of a column to one that begins at the next top.
    edges = _xor(mask.edges - mask.edges // (mask.height + 1))
    counts = np.diff(edges, prepend=0, append=mask.height * mask.width)
    if len(counts) > 1 and counts[-1] == 0:
        counts = counts[:-1]
    size = mask.height, mask.width
    compressed = coco.frPyObjects({"counts": counts.tolist(), "size": size}, *size)
    return RleMask(size=size, counts=compressed["counts"].decode("ascii"))


def encode_polygons(mask: RunMask) -> PolygonMask | None:
    """Return COCO polygons along the sides of the pixels, or None for an empty mask.

    Every ring is simple: it visits no point twice. pycocotools rasterizes the polygons to exactly
    this mask. COCO has no holes, so a mask with holes is cut through all of them into strips.
    """
    if not len(mask.edges):
        return None
    # Where pixels touch at a corner only, an outline can join the two mask pixels there or the two
    # hole pixels. A hole is a region that no path across pixel sides leaves, so to find the holes,
    # mask pixels are joined at corners. After each hole is cut open, two mask pixels that touch are
    # connected nowhere else. Then they are kept apart, so no outline passes their corner twice.
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
    # Add a pixel on each side, since the mask fades out over its last half cell.
    start = max(int(np.floor(low)) - 1, 0)
    return start, max(min(int(np.ceil(high)) + 1, size), start)


def _positions(
    start: int, stop: int, low: np.float32, high: np.float32, cells: int
) -> NDArray[np.float32]:
    """Return the position of each pixel centre in cells of the mask, rounded as in PyTorch."""
    centres = np.arange(start, stop, dtype=np.float32) + np.float32(0.5)
    normal = (centres - low) / (high - low) * np.float32(2) - np.float32(1)
    # PyTorch's kernel multiplies and subtracts in one fused operation, with one rounding.
    fused = (normal + np.float32(1)).astype(np.float64) * (cells / 2) - 0.5
    return fused.astype(np.float32)


def _crossings(
    values: NDArray[np.float64], rows: NDArray[np.float32], level: float, stride: int
) -> _Ints:
    """Return the edges of the region where the value is at least `level`.

    values: (columns, M + 2) at the centres of the cells -1 to M; both of these are 0.
    """
    above = values >= level
    column, cell = np.nonzero(above[:, 1:] != above[:, :-1])
    before, after = values[column, cell], values[column, cell + 1]
    place = cell - 1 + (level - before) / (after - before)
    return _xor(column * stride + np.searchsorted(rows.astype(np.float64), place))


def _xor(*edges: _Ints) -> _Ints:
    """Return the edges of the exclusive or of masks: two edges at one place cancel each other."""
    places, counts = np.unique(np.concatenate(edges), return_counts=True)
    unpaired: _Ints = places[counts % 2 == 1]
    return unpaired


def _pixels(edges: _Ints) -> Iterator[_Ints]:
    """Yield the encoded place of every pixel in the runs, at most `_SAMPLES_PER_PASS` at a time."""
    starts, lengths = edges[::2], edges[1::2] - edges[::2]
    ends = np.cumsum(lengths)
    for first in range(0, int(lengths.sum()), _SAMPLES_PER_PASS):
        number = np.arange(first, min(first + _SAMPLES_PER_PASS, int(ends[-1])))
        run = np.searchsorted(ends, number, side="right")
        yield starts[run] + number - (ends - lengths)[run]


def _sample(
    probabilities: NDArray[np.float32], y: NDArray[np.float32], x: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Return the (K,) float32 bilinear values at positions `y`, `x` (K,), in cells.

    They equal those of PyTorch's `grid_sample` to the last bit.
    """
    top, left = np.floor(y), np.floor(x)
    below, right = y - top, x - left
    above, before = np.float32(1) - below, np.float32(1) - right
    # Two cells of zeros surround the mask; positions further out are clamped onto them.
    padded = np.pad(probabilities, 2)
    row = np.clip(top, -2, len(probabilities)).astype(np.intp) + 2
    column = np.clip(left, -2, len(probabilities)).astype(np.intp) + 2
    value: NDArray[np.float32] = padded[row, column] * (above * before)
    for corner, weight in (
        (padded[row, column + 1], above * right),
        (padded[row + 1, column], below * before),
        (padded[row + 1, column + 1], below * right),
    ):
        # PyTorch's vector code multiplies and adds in one fused operation, with one rounding.
        value = (corner.astype(np.float64) * weight + value).astype(np.float32)
    return value


@dataclass(frozen=True, slots=True)
class _Loops:
    """The outlines of a mask's connected parts and of its holes, one after the other.

    corners: (K, 2) XY. starts: (L,) index of each loop's first corner. outer: (L,) whether a loop
    surrounds a part, not a hole. touches: whether any mask pixels touch at a corner only.
    """

    corners: _Ints
    starts: _Ints
    outer: NDArray[np.bool_]
    touches: bool


def _cuts(loops: _Loops) -> _Ints:
    """Return the fewest columns that cross all holes, each in the middle of those it crosses."""
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

    cuts: the columns before which the mask is cut, rising. joined: whether mask pixels that touch
    at a corner only belong to one part; otherwise the hole pixels there belong to one hole.
    """
    corners, down, is_filled, touches = _corners(mask, cuts, joined)
    # In reading order, corners 2k and 2k + 1 are the ends of one horizontal side. From a corner,
    # follow its horizontal side, and then the vertical side from there.
    next_corner = down[np.arange(len(corners)) ^ 1].tolist()
    path: list[int] = []
    firsts: list[int] = []
    starts: list[int] = []
    visited = bytearray(len(corners))
    for first in range(0, len(corners), 2):
        if visited[first >> 1]:
            continue
        firsts.append(first)
        starts.append(2 * len(path))
        corner = first
        while not visited[corner >> 1]:
            visited[corner >> 1] = 1
            path.append(corner)
            corner = next_corner[corner]
    sides = np.array(path, dtype=np.int64)
    ends = np.stack((sides, sides ^ 1), axis=1).ravel()
    # The first corner is the loop's upper left, and the pixel to its lower right lies inside.
    outer = is_filled[np.array(firsts, dtype=np.int64)]
    return _Loops(corners[ends], np.array(starts, dtype=np.int64), outer, touches)


def _corners(
    mask: RunMask, cuts: _Ints, joined: bool
) -> tuple[_Ints, _Ints, NDArray[np.bool_], bool]:
    """Return the corners of all outlines, and what is needed to link them.

    The values are: the corners, (K, 2) XY in reading order; (K,) the index of the corner at the
    other end of each one's vertical side; (K,) bool, for a corner from which a horizontal side
    leads east, whether the pixel to its lower right belongs to the mask; and whether any two
    corners are at one place.
    """
    stride = mask.height + 1
    strips = np.searchsorted(cuts, mask.edges // stride, side="right")
    # Each end of a run has a corner on both borders of its column. Between two strips of the cut
    # mask, one column is left empty.
    west = mask.edges + strips * stride
    place = np.concatenate((west, west + stride))
    east = np.arange(len(place)) < len(west)  # whether a horizontal side leads east from there
    is_filled = (np.arange(len(place)) % 2 == 0) == east
    # Where two neighbouring columns both begin or both end a run, the side continues straight, and
    # there is no corner. Where one begins and the other ends a run, four pixels form a checkerboard
    # with two corners at its centre. If mask pixels are kept apart, each corner belongs to a mask
    # pixel, and that of the upper one comes first. If they are joined, each corner belongs to a
    # hole pixel, and the order is reversed.
    key = 2 * place + ((east == is_filled) != joined)
    order = np.argsort(key, kind="stable")
    changes = np.diff(key[order]) != 0
    corner = np.ones(len(order), dtype=np.bool_)
    corner[1:] &= changes
    corner[:-1] &= changes
    order = order[corner]
    touches = bool((np.diff(place[order]) == 0).any())
    # Down a column of corners, and along a row, corners 2k and 2k + 1 are the ends of one side.
    x, y = np.divmod(place[order], stride)
    reading = np.lexsort((east[order], x, y))
    number = np.empty_like(reading)
    number[reading] = np.arange(len(reading))
    corners = np.stack((x - np.tile(strips, 2)[order], y), axis=1)
    return corners[reading], number[reading ^ 1], is_filled[order][reading], touches
