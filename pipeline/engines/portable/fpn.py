import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.engines.portable.layers import Conv2d
from pipeline.engines.portable.resnet import ResNet


class FPN(nn.Module):
    """A feature pyramid on top of a ResNet (Feature Pyramid Networks), with p6 pooled from p5.

    in_features: names of the stages to use, from high to low resolution, each of twice the stride
    of the one before. fuse_type: 'sum' or 'avg' of the lateral and the top-down features.
    `strides` maps each output ('p2', 'p3', ...) to its stride in input pixels.
    """

    def __init__(
        self,
        bottom_up: ResNet,
        in_features: Sequence[str],
        out_channels: int,
        norm: str,
        fuse_type: str,
    ) -> None:
        super().__init__()
        self.bottom_up = bottom_up
        self.in_features = tuple(in_features)
        self.out_channels = out_channels
        self.fuse_type = fuse_type
        self.levels = tuple(int(math.log2(bottom_up.strides[name])) for name in in_features)
        for name, level in zip(self.in_features, self.levels, strict=True):
            lateral = Conv2d(bottom_up.channels[name], out_channels, 1, norm=norm)
            self.add_module(f"fpn_lateral{level}", lateral)
            self.add_module(f"fpn_output{level}", Conv2d(out_channels, out_channels, 3, norm=norm))
        self.strides = {f"p{level}": 2**level for level in (*self.levels, self.levels[-1] + 1)}
        self.size_divisibility = 2 ** self.levels[-1]

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Run the backbone on (N, 3, H, W) and return {'p2': (N, C, h, w), 'p3': ...}.

        H and W must be divisible by `size_divisibility`.
        """
        features = self.bottom_up(x)
        coarsest, *finer = reversed(list(zip(self.levels, self.in_features, strict=True)))
        top_down = self.lateral(coarsest[0], features[coarsest[1]])
        outputs = {coarsest[0]: self.output(coarsest[0], top_down)}
        for level, name in finer:
            top_down = F.interpolate(top_down, scale_factor=2.0, mode="nearest")
            top_down = self.lateral(level, features[name]).add_(top_down)
            if self.fuse_type == "avg":
                top_down = top_down / 2
            outputs[level] = self.output(level, top_down)
        last = self.levels[-1]
        outputs[last + 1] = F.max_pool2d(outputs[last], kernel_size=1, stride=2)
        return {f"p{level}": outputs[level] for level in sorted(outputs)}

    def lateral(self, level: int, x: Tensor) -> Tensor:
        y: Tensor = self.get_submodule(f"fpn_lateral{level}")(x)
        return y

    def output(self, level: int, x: Tensor) -> Tensor:
        y: Tensor = self.get_submodule(f"fpn_output{level}")(x)
        return y
