import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align as torchvision_roi_align

# The upper bounds of the classes of bin sides, in cells. ROIs are computed together where their bin
# widths and bin heights have the same classes. Padding all ROIs to the largest bin would waste most
# of the work, and a pass for each bin size would be dominated by the cost of calls.
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
    """Return the ROIAlign (Mask R-CNN) of each box, (R, C, resolution, resolution).

    feature: (N, C, H, W). boxes: (R, 4) XYXY in input pixels. images: (R,) int64 index of the image
    of each box. stride: input pixels per cell. sampling_ratio: samples per bin along each side; 0
    adapts to the box. aligned: version 2, which shifts by half a pixel.
    """
    if feature.is_cuda:
        rois = torch.cat((images[:, None].to(boxes.dtype), boxes), dim=1)
        # Coordinates need more precision than float16, and torchvision takes a single dtype.
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
    """Return the result of `roi_align` on a CPU, in channels-last memory.

    Each bin is a weighted sum of cells, which `embedding_bag` computes with all threads and vector
    instructions. torchvision's kernel uses one thread, and first copies a channels-last feature
    map. The layers that follow work on channels-last memory.
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
    """Return the indices of the ROIs in each pair of classes of SPANS that occurs.

    bins: (R, 2) width and height of the bins, in cells.
    """
    spans = torch.bucketize(bins.contiguous(), torch.tensor(SPANS, dtype=bins.dtype))
    pairs = spans[:, 0] * (len(SPANS) + 1) + spans[:, 1]
    return [(pairs == pair).nonzero()[:, 0] for pair in torch.unique(pairs)]


def _axis(
    start: Tensor, bin_side: Tensor, resolution: int, sampling_ratio: int, size: int
) -> tuple[Tensor, Tensor]:
    """Return the cells of each bin along an axis of `size` cells, and their weights.

    start, bin_side: (R,) start of the box and side of its bins, in cells. The cells are
    (R, resolution, T) int64, the weights (R, resolution, T) float32.
    """
    adaptive = bin_side.ceil()  # 0 for a box with a side of 0
    samples = torch.full_like(bin_side, sampling_ratio) if sampling_ratio > 0 else adaptive
    divisor = samples.clamp(min=1)[:, None, None]
    offsets = torch.arange(int(divisor.max()))
    step = bin_side[:, None, None] / divisor
    first = start[:, None] + torch.arange(resolution) * bin_side[:, None]
    position = first[:, :, None] + (offsets + 0.5) * step
    # A sample more than a cell outside the map is 0; a nearer one takes the value at the border.
    is_valid = (offsets < samples[:, None, None]) & (position >= -1) & (position <= size)
    share = is_valid / divisor
    position = position.clamp(0, size - 1)
    low = position.floor()
    above = position - low
    # Neighbouring samples share cells. Their weights are summed, so that each cell is read once.
    base = low.amin(dim=2, keepdim=True)
    cell = torch.where(is_valid, low - base, 0).to(torch.int64)
    width = int(cell.max()) + 2
    weights = position.new_zeros((*position.shape[:2], width))
    weights.scatter_add_(2, cell, (1 - above) * share)
    weights.scatter_add_(2, cell + 1, above * share)
    cells = (base.to(torch.int64) + torch.arange(width)).clamp(max=size - 1)
    return cells, weights
