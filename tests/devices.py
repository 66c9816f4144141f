"""The devices that the tests of the portable engine run on: the CPU, and a GPU if there is one."""

import pytest
import torch

needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch finds no GPU on this machine"
)
DEVICES = ["cpu", pytest.param("cuda", marks=needs_gpu)]
