import torch
from torch import Tensor


def embed(feature: Tensor, sizes: Tensor, stride: int) -> Tensor:
    """Return the mean of a feature map over each image's own area, (N, C) float32.

    feature: (N, C, h, w) of any floating dtype. sizes: (N, 2) int64, height and width of each
    image, which lies at the top left, in input pixels. stride: of the map, in input pixels. Cells
    of padding alone are left out.
    """
    firsts = [torch.arange(side, device=feature.device) * stride for side in feature.shape[-2:]]
    rows, columns = (first < sizes[:, axis : axis + 1] for axis, first in enumerate(firsts))
    inside = (rows[:, :, None] & columns[:, None])[:, None]
    sums = feature.float().masked_fill(~inside, 0).sum(dim=(2, 3))
    return sums / inside.sum(dim=(2, 3))
