from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.portable.roi_heads import Detections
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances


class EagerRunner:
    """A model that drops what it does not need as it goes, so its shapes depend on the images.

    This is the least work. A GPU has to wait for the host each time that something is dropped.
    """

    def __init__(self, model: MaskRCNN) -> None:
        self.model = model

    def __call__(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        """Return the instances in inputs of one padded size."""
        images = [self._to_tensor(model_input.pixels) for model_input in inputs]
        return [to_instances(detections) for detections in self.model(images)]

    def _to_tensor(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the (H, W, 3) uint8 pixels on the device.

        They are copied where they are read-only, as arrays from a shared store may be.
        """
        array = np.array(pixels, copy=not pixels.flags.writeable)
        return torch.from_numpy(array).to(self.model.device)


def to_instances(detections: Detections) -> Instances:
    """Return the detections of one image as NumPy arrays in host memory."""
    masks, embedding = detections.masks, detections.embedding
    return Instances(
        boxes=detections.boxes.cpu().numpy(),
        scores=detections.scores.cpu().numpy(),
        classes=detections.classes.cpu().numpy(),
        masks=None if masks is None else masks.cpu().numpy(),
        embedding=None if embedding is None else embedding.cpu().numpy(),
    )
