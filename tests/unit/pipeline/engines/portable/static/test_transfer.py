import numpy as np
import torch

from pipeline.engines.portable.static.transfer import download, upload
from pipeline.image.resize import ModelInput


def test_images_lie_top_left_in_their_padded_size() -> None:
    inputs = [
        ModelInput(np.full((height, width, 3), value, dtype=np.uint8), height, width)
        for height, width, value in ((40, 60, 1), (64, 33, 2))
    ]
    inputs[0].pixels.flags.writeable = False
    pixels, sizes = upload(inputs, 32, torch.device("cpu"))
    assert (pixels.shape, pixels.dtype) == ((2, 64, 64, 3), torch.uint8)
    assert (sizes.tolist(), sizes.dtype) == ([[40, 60], [64, 33]], torch.int64)
    assert (pixels[0, :40, :60] == 1).all()
    assert (pixels[1, :64, :33] == 2).all()


def test_download_returns_values() -> None:
    tensors = [torch.arange(3), torch.ones(2, 2)]
    assert [copy.tolist() for copy in download(tensors)] == [[0, 1, 2], [[1, 1], [1, 1]]]
