from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pipeline.engines.portable.layers import BatchNorm2d, Conv2d
from pipeline.engines.portable.roi_heads import BoxHead

Module = TypeVar("Module", bound=nn.Module)


@torch.no_grad()
def fused(model: Module) -> Module:
    """The same function in fewer steps: batch norms become part of their convolutions, and weights
    lie channels last, which is how oneDNN and tensor cores compute convolutions.

    Changes the model in place; its state dict is no longer the checkpoint's.
    """
    for module in model.modules():
        if isinstance(module, Conv2d) and isinstance(module.norm, BatchNorm2d):
            _fold(module, module.norm)
        elif isinstance(module, BoxHead):
            _flatten_channels_last(module)
    return model.to(memory_format=torch.channels_last)


class ChannelsLastFlatten(nn.Module):
    """(N, C, H, W) -> (N, H * W * C): no copy of what already lies channels last."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


def _flatten_channels_last(head: BoxHead) -> None:
    """Reorders the first layer's weights instead of every pooled box."""
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
