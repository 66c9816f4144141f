from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pipeline.batches import padded_size
from pipeline.engine.fpn import FPN
from pipeline.engine.roi_heads import Detections, StandardROIHeads
from pipeline.engine.rpn import RPN


class MaskRCNN(nn.Module):
    """Mask R-CNN on a feature pyramid, for inference.

    Modules are named as in Detectron2's GeneralizedRCNN, so that its checkpoints load as they are.
    pixel_mean, pixel_std: one value per channel, in the channel order of the input.
    """

    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        backbone: FPN,
        proposal_generator: RPN,
        roi_heads: StandardROIHeads,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.proposal_generator = proposal_generator
        self.roi_heads = roi_heads
        mean, std = (torch.tensor(values).view(-1, 1, 1) for values in (pixel_mean, pixel_std))
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)

    def forward(self, images: Sequence[Tensor]) -> list[Detections]:
        """Each image: (3, H, W) of 0..255, any dtype, on the model's device."""
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        features = self.backbone(self.batch(images))
        proposals = self.proposal_generator(features, sizes)
        detections: list[Detections] = self.roi_heads(features, proposals, sizes)
        return detections

    def batch(self, images: Sequence[Tensor]) -> Tensor:
        """Normalizes, then pads with zeros at the right and bottom to one (N, 3, H, W)."""
        height, width = padded_size(
            max(image.shape[-2] for image in images),
            max(image.shape[-1] for image in images),
            self.backbone.size_divisibility,
        )
        return torch.stack(
            [
                F.pad(
                    (image - self.pixel_mean) / self.pixel_std,
                    (0, width - image.shape[-1], 0, height - image.shape[-2]),
                )
                for image in images
            ]
        )
