from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pipeline.engines.portable.layers import BatchNorm2d, Conv2d
from pipeline.engines.portable.roi_heads import BoxHead

Module = TypeVar("Module", bound=nn.Module)


@torch.no_grad()
def fused(model: Module) -> Module:
    """Return the model, changed in place to compute the same function in fewer operations.

    Batch norms become part of their convolutions. Weights are stored channels last, the layout in
    which oneDNN and tensor cores compute convolutions. The state dict is no longer that of the
    checkpoint.
    """
    for module in model.modules():
        if isinstance(module, Conv2d) and isinstance(module.norm, BatchNorm2d):
            _fold(module, module.norm)
        elif isinstance(module, BoxHead):
            _flatten_channels_last(module)
    return model.to(memory_format=torch.channels_last)


class ChannelsLastFlatten(nn.Module):
    """A layer that flattens (N, C, H, W) to (N, H * W * C).

    It copies no data of an input in channels-last memory.
    """

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def _flatten_channels_last(head: BoxHead) -> None:
    """Reorder the weights of the first linear layer, so that no pooled box needs reordering."""
    first = next((layer for layer in head if isinstance(layer, nn.Linear)), None)
    if first is None:
        return
    side = head.resolution
    weight = first.weight.view(len(first.weight), -1, side, side).permute(0, 2, 3, 1).flatten(1)
    first.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    head.flatten = ChannelsLastFlatten()


def _fold(conv: Conv2d, norm: BatchNorm2d) -> None:
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight,
        conv.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
    )
    conv.norm = None
