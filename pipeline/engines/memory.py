from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import OutOfMemory


@contextmanager
def translated_out_of_memory() -> Iterator[None]:
    """Raise OutOfMemory where the device has no memory for what PyTorch does in the context."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise OutOfMemory("The model ran out of memory.") from error
