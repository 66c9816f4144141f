import hashlib
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor, nn

# Of a tensor on a GPU at once: the copy in host memory stays small.
_CHUNK_BYTES = 16 * 1024 * 1024


class Hash(Protocol):
    """A hash of the module hashlib."""

    def update(self, data: bytes | memoryview, /) -> None: ...


def fingerprint_of(model: nn.Module) -> str:
    """Return the SHA-256 (hex) of the parameters and buffers of a model, as they are in memory.

    Tensors on the device 'meta', which hold no values, are left out.
    """
    digest = hashlib.sha256()
    update(digest, ((name, tensor) for name, tensor in _tensors(model) if not tensor.is_meta))
    return digest.hexdigest()


@torch.no_grad()
def update(digest: Hash, tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Add the name, type, shape and values of each tensor to the hash.

    At most one tensor is copied at a time: one whose values do not lie in a row in memory.
    """
    for name, tensor in tensors:
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        values = tensor.contiguous().reshape(-1).view(torch.uint8)
        for chunk in torch.split(values, _CHUNK_BYTES):
            digest.update(chunk.cpu().numpy().data)


def _tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()
