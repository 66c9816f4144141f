import pytest
import torch

from pipeline.engines.memory import translated_out_of_memory
from pipeline.errors import OutOfMemory


def test_lack_of_memory_is_translated() -> None:
    with pytest.raises(OutOfMemory), translated_out_of_memory():
        raise torch.OutOfMemoryError("CUDA out of memory")


def capture_without_memory() -> None:
    try:
        raise torch.OutOfMemoryError("CUDA out of memory")
    finally:
        raise RuntimeError("operation failed due to a previous error during capture")


def test_capture_that_lacks_memory_is_translated() -> None:
    with pytest.raises(OutOfMemory), translated_out_of_memory():
        capture_without_memory()


def test_other_error_is_not_translated() -> None:
    with pytest.raises(RuntimeError, match="illegal memory access"), translated_out_of_memory():
        raise RuntimeError("illegal memory access")
