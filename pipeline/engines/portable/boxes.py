import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import batched_nms as torchvision_batched_nms

# The limit of a predicted log scale, which keeps exp() finite: an anchor of 16 pixels grows to at
# most 1000.
SCALE_CLAMP = math.log(1000.0 / 16)


def apply_deltas(deltas: Tensor, boxes: Tensor, weights: Sequence[float]) -> Tensor:
    """Return the boxes moved and scaled by predicted deltas (R-CNN, appendix C; Fast R-CNN).

    deltas: (N, K * 4), K sets of (dx, dy, dw, dh) for each box. boxes: (N, 4) XYXY. weights: the
    divisors of dx, dy, dw and dh. The result is (N, K * 4) XYXY in float32.
    """
    deltas = deltas.float()
    boxes = boxes.to(deltas.dtype)
    widths = boxes[:, 2] - boxes[:, 0]
    heights = boxes[:, 3] - boxes[:, 1]
    center_x = boxes[:, 0] + 0.5 * widths
    center_y = boxes[:, 1] + 0.5 * heights

    dx = deltas[:, 0::4] / weights[0]
    dy = deltas[:, 1::4] / weights[1]
    dw = (deltas[:, 2::4] / weights[2]).clamp(max=SCALE_CLAMP)
    dh = (deltas[:, 3::4] / weights[3]).clamp(max=SCALE_CLAMP)

    x = dx * widths[:, None] + center_x[:, None]
    y = dy * heights[:, None] + center_y[:, None]
    w = dw.exp() * widths[:, None]
    h = dh.exp() * heights[:, None]
    corners = torch.stack((x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h), dim=-1)
    return corners.reshape(deltas.shape)


def limits_of(sizes: Tensor) -> Tensor:
    """Return the largest coordinates in images of these sizes, (N, 4) float32 XYXY.

    sizes: (N, 2) height and width of each image.
    """
    return sizes.flip(1).repeat(1, 2).float()


def clip(boxes: Tensor, limits: Tensor) -> Tensor:
    """Return the (..., 4) XYXY boxes, clipped to their images.

    limits: of `limits_of`, in a shape that broadcasts to that of the boxes.
    """
    return boxes.clamp(min=0).minimum(limits)


def nonempty(boxes: Tensor, threshold: float = 0.0) -> Tensor:
    """Return the (...) bool mask of the boxes whose sides are both longer than `threshold` pixels.

    boxes: (..., 4) XYXY.
    """
    x1, y1, x2, y2 = boxes.unbind(-1)
    return (x2 - x1 > threshold) & (y2 - y1 > threshold)


def batched_nms(boxes: Tensor, scores: Tensor, groups: Tensor, iou_threshold: float) -> Tensor:
    """Return the indices of the boxes that non-maximum suppression keeps, by descending score.

    Boxes suppress only boxes of their group. boxes: (N, 4) XYXY; scores and groups: (N,).
    """
    # torchvision separates the groups by offsets of the coordinates, which need float32.
    keep: Tensor = torchvision_batched_nms(boxes.float(), scores, groups, iou_threshold)
    return keep
