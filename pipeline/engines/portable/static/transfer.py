from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.engines.batches import padded_size
from pipeline.image.resize import ModelInput


def upload(
    inputs: Sequence[ModelInput], divisibility: int, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return the images as (N, H, W, 3) uint8 and their sizes as (N, 2) int64, on the device.

    Each image lies at the top left; the values beyond it are any. The host does not wait for the
    copy, so it is one from page-locked memory.
    """
    sizes = torch.tensor([model_input.pixels.shape[:2] for model_input in inputs])
    height, width = padded_size(int(sizes[:, 0].max()), int(sizes[:, 1].max()), divisibility)
    is_pinned = device.type == "cuda"
    pixels = torch.empty((len(inputs), height, width, 3), dtype=torch.uint8, pin_memory=is_pinned)
    for padded, model_input in zip(pixels.numpy(), inputs, strict=True):
        padded[: model_input.pixels.shape[0], : model_input.pixels.shape[1]] = model_input.pixels
    sizes = sizes.pin_memory() if is_pinned else sizes
    return pixels.to(device, non_blocking=True), sizes.to(device, non_blocking=True)


def download(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors in host memory, once all work that was queued on their device is done."""
    copies = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
    if any(tensor.is_cuda for tensor in tensors):
        torch.cuda.current_stream().synchronize()
    return copies
