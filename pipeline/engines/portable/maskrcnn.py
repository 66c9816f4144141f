from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from pipeline.engines.batches import padded_size
from pipeline.engines.portable.boxes import limits_of
from pipeline.engines.portable.embedding import embed
from pipeline.engines.portable.fpn import FPN
from pipeline.engines.portable.networks import Features, Networks, Prediction
from pipeline.engines.portable.roi_heads import Detections, StandardROIHeads
from pipeline.engines.portable.rpn import RPN


class MaskRCNN(nn.Module):
    """Mask R-CNN on a feature pyramid, for inference.

    Modules have the names of Detectron2's GeneralizedRCNN, so its checkpoints load unchanged.
    pixel_mean, pixel_std: a value per channel, in the channel order of the input.
    `networks` runs the layers: with PyTorch, unless it is replaced by another runtime.
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
        self.networks: Networks = TorchNetworks(backbone, proposal_generator, roi_heads)
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean), persistent=False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std), persistent=False)

    @property
    def device(self) -> torch.device:
        return self.pixel_mean.device

    def forward(self, images: Sequence[Tensor]) -> list[Detections]:
        """Return the detections in each image, with boxes in its pixels.

        images: (H, W, 3) tensors of values 0..255, of any dtype, on the model's device.
        """
        batch = self.batch(images)
        sizes = torch.tensor([image.shape[:2] for image in images], device=batch.device)
        limits = limits_of(sizes)
        features, predictions = self.networks.dense(batch)
        input_size = batch.shape[-2], batch.shape[-1]
        proposals = self.proposal_generator(predictions, input_size, limits)
        detections: list[Detections] = self.roi_heads(self.networks, features, proposals, limits)
        embeddings = self.embeddings(features, sizes)
        return [replace(d, embedding=e) for d, e in zip(detections, embeddings, strict=True)]

    def embeddings(self, features: Features, sizes: Tensor) -> Tensor:
        """Return the embedding of each image, (N, C) float32.

        features: of the batch, by name. sizes: (N, 2) int64, height and width of each image.
        """
        coarsest = self.roi_heads.in_features[-1]
        return embed(features[coarsest], sizes, self.backbone.strides[coarsest])

    def batch(self, images: Sequence[Tensor]) -> Tensor:
        """Return the normalized images as one (N, 3, H, W), in channels-last memory.

        Each image is padded with zeros at its right and bottom. images: (h, w, 3) tensors.
        """
        height, width = padded_size(
            max(image.shape[0] for image in images),
            max(image.shape[1] for image in images),
            self.backbone.size_divisibility,
        )
        batch = self.pixel_mean.new_zeros((len(images), height, width, len(self.pixel_mean)))
        for padded, image in zip(batch, images, strict=True):
            padded[: image.shape[0], : image.shape[1]] = (image - self.pixel_mean) / self.pixel_std
        return batch.permute(0, 3, 1, 2)


@dataclass(frozen=True)
class TorchNetworks:
    """The layers of the model, run by PyTorch in the dtype of their weights."""

    backbone: FPN
    proposal_generator: RPN
    roi_heads: StandardROIHeads

    def dense(self, images: Tensor) -> tuple[Features, list[Prediction]]:
        features = self.backbone(images.to(dtype_of(self.backbone)))
        predictions = self.proposal_generator.predict(features)
        return features, [(logits.float(), deltas.float()) for logits, deltas in predictions]

    def box(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        # The last layer is always in float32, since it decides by small differences.
        logits, deltas = self.roi_heads.box_predictor(self.roi_heads.box_head(pooled).float())
        return logits, deltas

    def mask(self, pooled: Tensor) -> Tensor:
        assert self.roi_heads.mask_head is not None, "a model without a mask head pools no masks"
        logits: Tensor = self.roi_heads.mask_head(pooled)
        return logits.float()


def layers_of(model: MaskRCNN) -> list[nn.Module]:
    """Return the modules that the `networks` of the model run."""
    heads = model.roi_heads
    parts = (model.backbone, model.proposal_generator.rpn_head, heads.box_head, heads.box_predictor)
    return [*parts, *([] if heads.mask_head is None else [heads.mask_head])]


def dtype_of(module: nn.Module) -> torch.dtype:
    return next(module.parameters()).dtype
