from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.engines.portable.roi_align import roi_align
from pipeline.engines.portable.roi_heads import ROIPooler


def pool(pooler: ROIPooler, maps: Sequence[Tensor], boxes: Tensor, images: Tensor) -> Tensor:
    """Return what the pooler pools, (R, C, resolution, resolution), with fixed shapes.

    maps: (N, C, h, w) of each level. boxes: (R, 4) XYXY. images: (R,) int64 index of the image of
    each box. Every level pools all boxes, those of other levels as an empty box, which takes
    ROIAlign few samples or none.
    """
    levels = pooler.levels(boxes)
    output: Tensor | None = None
    for level, (feature, stride) in enumerate(zip(maps, pooler.strides, strict=True)):
        is_here = levels == level
        pooled = roi_align(
            feature,
            boxes.masked_fill(~is_here[:, None], 0),
            images,
            pooler.resolution,
            stride,
            pooler.sampling_ratio,
            pooler.aligned,
        )
        output = (
            pooled if output is None else torch.where(is_here[:, None, None, None], pooled, output)
        )
    assert output is not None, "a pooler has a level"
    return output
