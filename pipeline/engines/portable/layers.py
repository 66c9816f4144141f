import torch
from torch import Tensor, nn
from torch.nn import functional as F

BATCH_NORMS = frozenset({"BN", "SyncBN", "nnSyncBN", "naiveSyncBN", "naiveSyncBN_N", "FrozenBN"})
GROUP_NORM_GROUPS = 32


class BatchNorm2d(nn.Module):
    """Batch normalization with fixed statistics, on (N, C, H, W).

    In inference all kinds of batch norm compute this function, so checkpoints with BN, SyncBN and
    FrozenBN load in the same way (`num_batches_tracked` is dropped when they are read).
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
    """A batch norm that was not trained. Its weight and bias may include its statistics."""


class GroupNorm(nn.GroupNorm):
    """Group normalization on (N, C, H, W), in any memory layout."""

    def forward(self, x: Tensor) -> Tensor:
        # PyTorch's kernel for channels last computes the variance from sums of squares. In a nearly
        # uniform image only rounding errors would remain of it.
        return super().forward(x.contiguous())


def build_norm(name: str, channels: int) -> nn.Module | None:
    """Return the normalization that Detectron2's `get_norm` returns for `name`; None for ''."""
    if not name:
        return None
    if name == "GN":
        return GroupNorm(GROUP_NORM_GROUPS, channels)
    assert name in BATCH_NORMS, name
    return FrozenBatchNorm2d(channels) if name == "FrozenBN" else BatchNorm2d(channels)


class Conv2d(nn.Conv2d):
    """A convolution with an optional normalization (its module `norm`) and an optional ReLU.

    bias: whether it has a bias; by default, only where it has no normalization.
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
