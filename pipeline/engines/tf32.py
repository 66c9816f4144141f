from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def without_tf32() -> Iterator[None]:
    """Let convolutions in float32 compute in float32 on a GPU within the block.

    By default PyTorch lets cuDNN round their inputs to TF32, which has 10 bits of mantissa instead
    of 23. The setting is that of the whole process. It has no effect on a CPU.
    """
    with torch.backends.cudnn.flags(enabled=torch.backends.cudnn.enabled, allow_tf32=False):
        yield
