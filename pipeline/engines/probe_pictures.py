"""Inputs to which a runtime answers the same as long as its weights are the same."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

_SIDE = 128  # pixels


def probe_pictures() -> Tensor:
    """Return the same pictures each time, (8, 3, _SIDE, _SIDE) float32 in channels-last memory.

    They are noise of one size and of all sizes, weak and strong, and two plain ones, so that few
    channels of the layers are zero for all of them: weights that read only zeros are not tested.
    """
    generator = torch.Generator().manual_seed(0)

    def noise(side: int) -> Tensor:
        coarse = torch.randn((1, 3, side, side), generator=generator)
        return nn.functional.interpolate(coarse, size=(_SIDE, _SIDE), mode="bilinear")

    def cloud() -> Tensor:
        return sum((noise(2**power) for power in range(1, 8)), torch.zeros(()))

    plain = torch.full_like(noise(1), 2.0)
    pictures = [noise(_SIDE), *(strength * cloud() for strength in (0.3, 1, 1, 1, 3))]
    batch = torch.cat([*pictures, plain, -plain])
    return batch.to(memory_format=torch.channels_last)


def pooled(maps: Sequence[Tensor], side: int) -> Tensor:
    """Return each feature map as if it were one box, (N, C, side, side)."""
    boxes = torch.cat([nn.functional.adaptive_avg_pool2d(feature, side) for feature in maps])
    return boxes.to(memory_format=torch.channels_last)
