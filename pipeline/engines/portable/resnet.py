from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.engines.portable.layers import Conv2d

BLOCKS_PER_STAGE = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}
STEM_STRIDE = 4


class Stem(nn.Module):
    """A 7x7 convolution and a max pooling, with a total stride of 4."""

    def __init__(self, in_channels: int, out_channels: int, norm: str) -> None:
        super().__init__()
        self.conv1 = Conv2d(
            in_channels, out_channels, 7, stride=2, norm=norm, bias=False, relu=True
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(self.conv1(x), kernel_size=3, stride=2, padding=1)


class BasicBlock(nn.Module):
    """A residual block of two 3x3 convolutions (ResNet-18 and 34)."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, norm: str) -> None:
        super().__init__()
        self.conv1 = Conv2d(
            in_channels, out_channels, 3, stride=stride, norm=norm, bias=False, relu=True
        )
        self.conv2 = Conv2d(out_channels, out_channels, 3, norm=norm, bias=False)
        self.shortcut = build_shortcut(in_channels, out_channels, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu_(self.conv2(self.conv1(x)).add_(shortcut))


class BottleneckBlock(nn.Module):
    """A residual block of 1x1, 3x3 and 1x1 convolutions (ResNet-50 and deeper, ResNeXt).

    groups, dilation: of the 3x3 convolution. stride_in_1x1: whether the first convolution has the
    stride, as in the MSRA models, instead of the 3x3 one.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        bottleneck_channels: int,
        stride: int,
        norm: str,
        groups: int,
        stride_in_1x1: bool,
        dilation: int,
    ) -> None:
        super().__init__()
        stride_1x1, stride_3x3 = (stride, 1) if stride_in_1x1 else (1, stride)
        self.conv1 = Conv2d(
            in_channels,
            bottleneck_channels,
            1,
            stride=stride_1x1,
            norm=norm,
            bias=False,
            relu=True,
        )
        self.conv2 = Conv2d(
            bottleneck_channels,
            bottleneck_channels,
            3,
            stride=stride_3x3,
            norm=norm,
            bias=False,
            relu=True,
            groups=groups,
            dilation=dilation,
        )
        self.conv3 = Conv2d(bottleneck_channels, out_channels, 1, norm=norm, bias=False)
        self.shortcut = build_shortcut(in_channels, out_channels, stride, norm)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.relu_(self.conv3(self.conv2(self.conv1(x))).add_(shortcut))


def build_shortcut(in_channels: int, out_channels: int, stride: int, norm: str) -> Conv2d | None:
    """Return the projection of a shortcut, or None (the identity) where the channels are equal."""
    if in_channels == out_channels:
        return None
    return Conv2d(in_channels, out_channels, 1, stride=stride, norm=norm, bias=False)


class ResNet(nn.Module):
    """A stem and residual stages.

    stages: the stages by name, in order. channels, strides: the channels and the stride in input
    pixels of each stage's output, by name.
    """

    def __init__(
        self,
        stem: Stem,
        stages: dict[str, nn.Sequential],
        channels: dict[str, int],
        strides: dict[str, int],
    ) -> None:
        super().__init__()
        self.stem = stem
        self.stage_names = tuple(stages)
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.channels = channels
        self.strides = strides

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Run all stages on (N, 3, H, W) and return {stage: (N, C, H / stride, W / stride)}."""
        outputs = {}
        x = self.stem(x)
        for name in self.stage_names:
            x = self.get_submodule(name)(x)
            outputs[name] = x
        return outputs
