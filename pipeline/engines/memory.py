from collections.abc import Iterator
from contextlib import contextmanager

import torch

from pipeline.errors import OutOfMemory


@contextmanager
def translated_out_of_memory() -> Iterator[None]:
    """Raise OutOfMemory where the device has no memory for what PyTorch does in the context."""
    try:
        yield
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory("The model ran out of memory.") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether the error is PyTorch's for a lack of memory, or was raised on the way from it.

    A capture that runs out of memory ends with an error about the capture.
    """
    if isinstance(error, torch.OutOfMemoryError):
        return True
    cause = error.__cause__ or error.__context__
    return cause is not None and is_out_of_memory(cause)
