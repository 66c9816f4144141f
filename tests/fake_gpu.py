"""A GPU that computes nothing, for tests on machines without one.

PyTorch's fake tensors have a shape, a dtype and a device, but no values. A step whose shape or
branch depends on values raises an error.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

FakeGpu = FakeTensorMode


def move_to_fake_gpu(model: nn.Module) -> None:
    """Replace the parameters and buffers of the model; to be called within a FakeGpu."""
    for module in model.modules():
        for name, parameter in module._parameters.items():
            if parameter is not None:
                module._parameters[name] = nn.Parameter(_like(parameter), requires_grad=False)
        for name, buffer in module._buffers.items():
            if buffer is not None:
                module._buffers[name] = _like(buffer)


class HostOperations(TorchDispatchMode):
    """A record of the operations that read or write a tensor in host memory.

    A number, which a kernel takes as an argument, is no tensor.
    """

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        if any(tensor.is_cpu for tensor in tensors):
            self.names.append(str(func))
        return result


def _like(tensor: Tensor) -> Tensor:
    return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device="cuda")
