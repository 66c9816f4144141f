"""Non-maximum suppression with fixed shapes, which a GPU runs without a word from the host."""

import numpy as np
import torch
from torch import Tensor

# Each round settles every box whose suppressors are settled. At most 18 were needed on real models.
ROUNDS = 32
# torchvision, and with it Detectron2, tells the groups of at most so many boxes apart by moving
# them, and suppresses more boxes group by group. Moved boxes are rounded differently.
MOST_MOVED = {"cpu": 1000, "cuda": 25_000}


def moved_apart(boxes: Tensor, groups: Tensor, counts: Tensor, largest: Tensor) -> Tensor:
    """Return the boxes as torchvision's `batched_nms` compares them, those of each group together.

    boxes: (N, ..., 4) XYXY. groups: int64 of the shape (N, ...), or one that broadcasts to it.
    counts, largest: (N,) the number of boxes that take part in each image, and their largest
    coordinate.
    """
    are_many = counts > MOST_MOVED[boxes.device.type]
    steps = (largest + 1).masked_fill(are_many, 0).view(-1, *(1,) * (boxes.ndim - 2))
    return boxes + (groups * steps)[..., None]


def overlaps(boxes: Tensor, iou_threshold: float) -> Tensor:
    """Return whether the IoU of each pair of boxes exceeds the threshold, (..., K, K) bool.

    boxes: (..., K, 4) XYXY. Two boxes without an area do not overlap.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    areas = (x2 - x1) * (y2 - y1)
    widths = torch.minimum(*_pairs(x2)) - torch.maximum(*_pairs(x1))
    heights = torch.minimum(*_pairs(y2)) - torch.maximum(*_pairs(y1))
    shared = widths.clamp(min=0) * heights.clamp(min=0)
    first, second = _pairs(areas)
    return shared / (first + second - shared) > _float32_at_most(iou_threshold)


def survivors(conflicts: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Return which of the boxes, sorted by descending score, greedy suppression keeps.

    conflicts: (..., K, K) bool, which pairs cannot both be kept. valid: (..., K) bool, which boxes
    take part. The result is (..., K) bool, and (...) bool: whether it is settled. Where it is not,
    boxes suppress each other in a chain longer than ROUNDS, and the result must not be used.
    """
    ranks = torch.arange(valid.shape[-1], device=valid.device)
    # Products of matrices count the suppressors of each box. Any sum above 0 is a number above 0 in
    # float16 as well.
    suppresses = (conflicts & (ranks[:, None] < ranks)).half()
    kept = previous = valid
    for _ in range(ROUNDS):
        suppressors = (kept.half()[..., None, :] @ suppresses)[..., 0, :]
        previous, kept = kept, valid & (suppressors == 0)
    return kept, (kept == previous).all(dim=-1)


def _pairs(values: Tensor) -> tuple[Tensor, Tensor]:
    return values[..., :, None], values[..., None, :]


def _float32_at_most(threshold: float) -> float:
    """Return the largest float32 that is at most `threshold`.

    A comparison with it is that of torchvision, which compares a float32 with a float64.
    """
    nearest = np.float32(threshold)
    below = nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))
    return float(below)
