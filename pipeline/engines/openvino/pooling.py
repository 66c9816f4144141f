import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.openvino.runtime import ONE_THREAD, CompiledGraph, runtime

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
Bags = tuple[Ints, Floats]

# Equation (1) of Feature Pyramid Networks: a box of 224 x 224 pixels belongs to level 4.
_CANONICAL_BOX_SIZE = 224
_CANONICAL_LEVEL = 4
# The upper bounds of the classes of bin sides, in cells. Boxes are computed together where the
# longer sides of their bins have the same class. Padding all boxes to the largest bin would waste
# most of the work, and a pass for each bin size would be dominated by the cost of calls.
_SPANS = np.array((2, 4, 8, 16, 32), dtype=np.float32)


class WeightedSums:
    """Weighted sums of rows of a table, by OpenVINO's EmbeddingBagOffsetsSum."""

    def __init__(self, channels: int) -> None:
        # A small pass wastes little where there are few terms, a large one is called less often.
        self._large = _Pass(channels, terms=32768, sums=4096)
        self._small = _Pass(channels, terms=4096, sums=1024)
        self._channels = channels

    def __call__(self, table: Floats, bags: Sequence[Bags]) -> Floats:
        """Return the sums of `weights[b, t] * table[rows[b, t]]` over t, (sum of all B, C).

        table: (cells, C). bags: rows and weights, each (B, T).
        """
        most = self._large.most_terms
        if any(rows.shape[1] > most for rows, _ in bags):
            return np.concatenate([self._wide(table, *bag, most) for bag in bags])
        rows = np.concatenate([rows.reshape(-1) for rows, _ in bags])
        weights = np.concatenate([weights.reshape(-1) for _, weights in bags])
        counts = np.repeat([rows.shape[1] for rows, _ in bags], [len(rows) for rows, _ in bags])
        ends = np.concatenate(([0], np.cumsum(counts)))
        sums = np.empty((len(counts), self._channels), dtype=np.float32)
        first = 0
        while first < len(counts):
            is_large = ends[-1] - ends[first] > 2 * self._small.most_terms
            run = self._large if is_large or counts[first] > self._small.most_terms else self._small
            last = int(np.searchsorted(ends, ends[first] + run.most_terms, side="right")) - 1
            last = min(last, first + run.most_sums)
            terms = slice(ends[first], ends[last])
            starts = ends[first:last] - ends[first]
            sums[first:last] = run(table, rows[terms], weights[terms], starts)
            first = last
        return sums

    def _wide(self, table: Floats, rows: Ints, weights: Floats, most: int) -> Floats:
        """Return the sums of one pair of rows and weights, computed in parts of `most` terms."""
        parts = range(0, rows.shape[1], most)
        sums = [self(table, [(rows[:, i : i + most], weights[:, i : i + most])]) for i in parts]
        return np.asarray(np.sum(sums, axis=0))


class _Pass:
    """The operation, compiled for one number of terms and one of sums, as OpenVINO demands.

    The last sum takes the terms that are left, with weights of 0.
    """

    def __init__(self, channels: int, *, terms: int, sums: int) -> None:
        ops = runtime().opset13
        table = ops.parameter([-1, channels], np.float32)
        rows = ops.parameter([terms], np.int32)
        starts = ops.parameter([sums], np.int32)
        weights = ops.parameter([terms], np.float32)
        none = ops.constant(np.int32(-1))  # a sum without terms is 0
        bags = ops.embedding_bag_offsets_sum(table, rows, starts, none, weights)
        graph = runtime().Model([bags], [table, rows, starts, weights], "sums")
        self._graph = CompiledGraph(graph, "float32", ONE_THREAD)
        self._terms, self._sums = terms, sums
        self.most_terms, self.most_sums = terms - 1, sums - 1

    def __call__(
        self, table: Floats, rows: Ints, weights: Floats, starts: NDArray[np.int64]
    ) -> Floats:
        """Return the sums (B, C) of the terms, each from its start to the next.

        table: (cells, C). rows, weights: (T,) of all terms. starts: (B,).
        """
        all_rows = np.zeros(self._terms, dtype=np.int32)
        all_weights = np.zeros(self._terms, dtype=np.float32)
        all_starts = np.full(self._sums, len(rows), dtype=np.int32)
        all_rows[: len(rows)] = rows
        all_weights[: len(rows)] = weights
        all_starts[: len(starts)] = starts
        (sums,) = self._graph(table, all_rows, all_starts, all_weights)
        return sums[: len(starts)]


@dataclass(frozen=True)
class ROIPooler:
    """ROIAlign (Mask R-CNN) of each box on the pyramid level for its size.

    strides: strides of the feature maps, each twice the one before. sampling_ratio: samples per bin
    along each side; 0 or less adapts to the box. aligned: ROIAlignV2, which shifts by half a pixel.
    """

    sums: WeightedSums
    resolution: int
    strides: Sequence[int]
    sampling_ratio: int
    aligned: bool

    def __call__(self, cells: Floats, input_size: tuple[int, int], boxes: Floats) -> Floats:
        """Return the pooled features, (R, resolution, resolution, C).

        cells: (sum of h * w, C) of all feature maps, for an input of `input_size` (height, width)
        pixels. boxes: (R, 4) XYXY in input pixels.
        """
        side, channels = self.resolution, cells.shape[1]
        output = np.empty((len(boxes), side, side, channels), dtype=np.float32)
        if len(boxes):
            rois, bags = zip(*self.bags(input_size, boxes), strict=True)
            sums = self.sums(cells, bags)
            output[np.concatenate(rois)] = sums.reshape(-1, side, side, channels)
        return output

    def levels(self, boxes: Floats) -> NDArray[np.int64]:
        """Return the (R,) index of the feature map for each of the (R, 4) XYXY boxes."""
        sides = boxes[:, 2:] - boxes[:, :2]
        size = np.sqrt(sides[:, 0] * sides[:, 1])
        level = np.floor(
            _CANONICAL_LEVEL + np.log2(size / np.float32(_CANONICAL_BOX_SIZE) + np.float32(1e-8))
        )
        finest, coarsest = math.log2(self.strides[0]), math.log2(self.strides[-1])
        index: NDArray[np.int64] = (level.clip(finest, coarsest) - finest).astype(np.int64)
        return index

    def bags(
        self, input_size: tuple[int, int], boxes: Floats
    ) -> Iterator[tuple[NDArray[np.intp], Bags]]:
        """Yield indices of boxes, and for each bin of these the cells and their weights.

        Each bin is a weighted sum of cells. Cells and weights are
        (len(indices) * resolution**2, T).
        """
        levels = self.levels(boxes)
        strides = np.array(self.strides, dtype=np.int32)
        heights, widths = (-(-side // strides) for side in input_size)
        firsts = np.concatenate(([0], np.cumsum(heights * widths)[:-1])).astype(np.int32)
        heights, widths, firsts = heights[levels], widths[levels], firsts[levels]

        scale = (1.0 / strides[levels]).astype(np.float32)[:, None]
        corners = boxes * scale - np.float32(0.5 if self.aligned else 0.0)
        sides = corners[:, 2:] - corners[:, :2]
        if not self.aligned:
            sides = np.maximum(sides, np.float32(1))
        bins = np.asarray(sides / self.resolution, dtype=np.float32)
        for rois in _by_span(bins):
            (x, x_weight), (y, y_weight) = (
                self._axis(corners[rois, axis], bins[rois, axis], limits[rois])
                for axis, limits in enumerate((widths, heights))
            )
            rows = firsts[rois, None, None] + y * widths[rois, None, None]
            cells = rows[:, :, None, :, None] + x[:, None, :, None, :]
            weights = y_weight[:, :, None, :, None] * x_weight[:, None, :, None, :]
            count = len(rois) * self.resolution**2
            yield rois, (cells.reshape(count, -1), weights.reshape(count, -1))

    def _axis(self, start: Floats, bin_side: Floats, size: Ints) -> Bags:
        """Return the cells of each bin along an axis, and their weights.

        start, bin_side: (R,) start of the box and side of its bins, in cells. size: (R,) cells of
        its feature map along the axis. The cells are (R, resolution, T) int32, the weights
        (R, resolution, T) float32.
        """
        adaptive = np.ceil(bin_side)  # 0 for a box with a side of 0
        ratio = self.sampling_ratio
        samples = np.full_like(bin_side, ratio) if ratio > 0 else adaptive
        divisor = np.maximum(samples, np.float32(1))[:, None, None]
        offsets = np.arange(int(divisor.max()), dtype=np.float32)
        step = bin_side[:, None, None] / divisor
        first = start[:, None] + np.arange(self.resolution, dtype=np.float32) * bin_side[:, None]
        position = first[:, :, None] + (offsets + np.float32(0.5)) * step
        end = size.astype(np.float32)[:, None, None]
        # A sample more than a cell outside the map is 0; a nearer one takes the value at the
        # border.
        is_valid = (offsets < samples[:, None, None]) & (position >= -1) & (position <= end)
        share = is_valid / divisor
        position = np.minimum(np.maximum(position, 0), end - 1)
        base = np.floor(position.min(axis=2, keepdims=True))
        width = int(np.where(is_valid, position - base, 0).max()) + 2
        cells = base + np.arange(width, dtype=np.float32)
        # Neighbouring samples share cells. Their weights are summed, so that each cell is read
        # once.
        nearness = 1 - np.abs(position[..., None] - cells[:, :, None])
        weights = (np.maximum(nearness, 0) * share[..., None]).sum(axis=2)
        return np.minimum(cells, end - 1).astype(np.int32), weights


def _by_span(bins: Floats) -> list[NDArray[np.intp]]:
    """Return the indices of the boxes in each class of _SPANS that occurs.

    bins: (R, 2) width and height of the bins, in cells.
    """
    spans = np.searchsorted(_SPANS, bins.max(axis=1))
    return [(spans == span).nonzero()[0] for span in np.unique(spans)]
