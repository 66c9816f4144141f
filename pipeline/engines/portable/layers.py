import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORMS = frozenset({"BN", "SyncBN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N", "FrozenBN"})
GROUP_NORM_GROUPS = 32


class BatchNorm2d(nn.Module):
    """Batch normalization with fixed statistics, on (N, C, H, W).

    In inference every kind of batch norm is this one, so BN, SyncBN and FrozenBN
    checkpoints load alike (`num_batches_tracked` is dropped when they are read).
    """

    eps = 1e-5

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("weight", torch.ones(channels))
        self.register_buffer("bias", torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
        )


class FrozenBatchNorm2d(BatchNorm2d):
    """A batch norm that was not trained. Its statistics may be part of its weight and bias."""


class GroupNorm(nn.GroupNorm):
    """On (N, C, H, W) in any layout."""

    def forward(self, x: Tensor) -> Tensor:
        # PyTorch's kernel for channels last takes the variance from sums of squares, which leaves
        # nothing but rounding where an image is nearly flat.
        return super().forward(x.contiguous())


def build_norm(name: str, channels: int) -> nn.Module | None:
    """The normalization that Detectron2's `get_norm` gives; '' is none."""
    if not name:
        return None
    if name == "GN":
        return GroupNorm(GROUP_NORM_GROUPS, channels)
    assert name in BATCH_NORMS, name
    return FrozenBatchNorm2d(channels) if name == "FrozenBN" else BatchNorm2d(channels)


class Conv2d(nn.Conv2d):
    """A convolution that owns its normalization (as `norm`) and ends in an optional ReLU.

    There is a bias exactly where there is no normalization, unless `bias` says otherwise.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        *,
        norm: str = "",
        bias: bool | None = None,
        relu: bool = False,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=dilation * (kernel_size // 2),
            dilation=dilation,
            groups=groups,
            bias=not norm if bias is None else bias,
        )
        self.norm = build_norm(norm, out_channels)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        x = super().forward(x)
        if self.norm is not None:
            x = self.norm(x)
        return F.relu_(x) if self.relu else x
