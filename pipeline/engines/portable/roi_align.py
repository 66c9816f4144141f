import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align as torchvision_roi_align

# ROIs whose bins span about as many cells, along either side, share a pass: padding them all to the
# largest would waste most of the work, a pass for each span would drown in calls.
SPANS = (2, 4, 8, 16, 32)


def roi_align(
    feature: Tensor,
    boxes: Tensor,
    images: Tensor,
    resolution: int,
    stride: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """ROIAlign (Mask R-CNN), version 2 where `aligned`: (R, C, resolution, resolution).

    feature: (N, C, H, W); boxes: (R, 4) XYXY in input pixels; images: (R,) int64, whose box it is;
    stride: input pixels per cell; sampling_ratio: samples per bin and side, 0 adapts to the box.
    """
    if feature.is_cuda:
        rois = torch.cat((images[:, None].to(boxes.dtype), boxes), dim=1)
        # Coordinates do not survive float16, and torchvision wants one type for both.
        pooled: Tensor = torchvision_roi_align(
            feature.float(), rois, resolution, 1.0 / stride, sampling_ratio, aligned
        )
        return pooled.to(feature.dtype)
    return roi_align_cpu(feature, boxes, images, resolution, stride, sampling_ratio, aligned)


def roi_align_cpu(
    feature: Tensor,
    boxes: Tensor,
    images: Tensor,
    resolution: int,
    stride: int,
    sampling_ratio: int,
    aligned: bool,
) -> Tensor:
    """As a sum of weighted cells, which `embedding_bag` computes in every thread and vector lane.

    torchvision's kernel runs in one thread and first copies a channels-last map. The result is
    laid out channels last, for the convolutions and layers behind it.
    """
    channels = feature.shape[1]
    cells = feature.permute(0, 2, 3, 1).reshape(-1, channels)
    corners = boxes * (1.0 / stride) - (0.5 if aligned else 0.0)
    sides = corners[:, 2:] - corners[:, :2]
    if not aligned:
        sides = sides.clamp(min=1.0)
    bins = sides / resolution
    output = feature.new_empty((len(boxes), resolution**2, channels))
    for rois in _by_span(bins):
        x, y = (
            _axis(corners[rois, axis], bins[rois, axis], resolution, sampling_ratio, size)
            for axis, size in ((0, feature.shape[3]), (1, feature.shape[2]))
        )
        rows = images[rois, None, None] * feature.shape[2] + y[0]
        cell = rows[:, :, None, :, None] * feature.shape[3] + x[0][:, None, :, None, :]
        weight = y[1][:, :, None, :, None] * x[1][:, None, :, None, :]
        bags = len(rois) * resolution**2
        sums = F.embedding_bag(
            cell.reshape(bags, -1),
            cells,
            per_sample_weights=weight.reshape(bags, -1).to(cells.dtype),
            mode="sum",
        )
        output[rois] = sums.view(len(rois), resolution**2, channels)
    return output.view(len(boxes), resolution, resolution, channels).permute(0, 3, 1, 2)


def _by_span(bins: Tensor) -> list[Tensor]:
    """Indices of the ROIs in each pair of classes of SPANS that occurs; bins: (R, 2) in cells."""
    spans = torch.bucketize(bins.contiguous(), torch.tensor(SPANS, dtype=bins.dtype))
    pairs = spans[:, 0] * (len(SPANS) + 1) + spans[:, 1]
    return [(pairs == pair).nonzero()[:, 0] for pair in torch.unique(pairs)]


def _axis(
    start: Tensor, bin_side: Tensor, resolution: int, sampling_ratio: int, size: int
) -> tuple[Tensor, Tensor]:
    """Along one axis of `size` cells, which cells each bin takes, and how much of each.

    start, bin_side: (R,) in cells. Returns (R, resolution, T) int64 and float32.
    """
    adaptive = bin_side.ceil()  # none for a box without a side
    samples = torch.full_like(bin_side, sampling_ratio) if sampling_ratio > 0 else adaptive
    divisor = samples.clamp(min=1)[:, None, None]
    offsets = torch.arange(int(divisor.max()))
    step = bin_side[:, None, None] / divisor
    first = start[:, None] + torch.arange(resolution) * bin_side[:, None]
    at = first[:, :, None] + (offsets + 0.5) * step
    # A sample beyond the map counts as nothing; within a cell of its edge, as the edge.
    counts = (offsets < samples[:, None, None]) & (at >= -1) & (at <= size)
    share = counts / divisor
    at = at.clamp(0, size - 1)
    low = at.floor()
    above = at - low
    # Neighbouring samples share cells: their weights are summed, so that each is read once.
    base = low.amin(dim=2, keepdim=True)
    cell = torch.where(counts, low - base, 0).to(torch.int64)
    width = int(cell.max()) + 2
    weights = at.new_zeros((*at.shape[:2], width))
    weights.scatter_add_(2, cell, (1 - above) * share)
    weights.scatter_add_(2, cell + 1, above * share)
    cells = (base.to(torch.int64) + torch.arange(width)).clamp(max=size - 1)
    return cells, weights
