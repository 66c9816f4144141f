from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from pipeline.engines.portable.boxes import limits_of
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.portable.roi_heads import mask_probabilities
from pipeline.engines.portable.static.detections import PaddedDetections, choose
from pipeline.engines.portable.static.pooling import pool
from pipeline.engines.portable.static.proposals import propose

# Masks of an image of the batch that are computed at once. The mask head is a quarter of the
# arithmetic if it runs for a hundred detections; images with lesions have a few.
MASKS_PER_IMAGE = 16


class Output(NamedTuple):
    """The result of a batch on the device.

    masks: the first chunk of `StaticMaskRCNN.masks`; none for a model without masks. maps: the
    feature maps that the heads pool from, for the chunks that follow. embeddings: (N, C) float32.
    """

    detections: PaddedDetections
    masks: list[Tensor]
    maps: list[Tensor]
    embeddings: Tensor


class StaticMaskRCNN:
    """A Mask R-CNN whose shapes depend only on those of its input.

    No step reads a value from the device, so the host may queue the whole model at once, and a CUDA
    graph can hold it. What the values would drop is marked as not valid, and dropped on the host.
    """

    def __init__(self, model: MaskRCNN) -> None:
        self.model = model

    def __call__(self, pixels: Tensor, sizes: Tensor) -> Output:
        """Return the detections in a batch, with the first masks.

        pixels: (N, H, W, 3), each image at the top left, H and W divisible by the backbone's
        divisor. sizes: (N, 2) int64, height and width of each image.
        """
        model, heads = self.model, self.model.roi_heads
        features, predictions = model.networks.dense(self.normalized(pixels, sizes))
        limits = limits_of(sizes)
        input_size = pixels.shape[1], pixels.shape[2]
        proposals = propose(model.proposal_generator, predictions, input_size, limits)
        # torchvision's ROIAlign copies a map that is channels last; both poolers use one copy.
        maps = [features[name].contiguous() for name in heads.in_features]
        images = _index_of_images(proposals.valid)
        pooled = pool(heads.box_pooler, maps, proposals.boxes.flatten(0, 1), images)
        logits, deltas = model.networks.box(pooled)
        detections = choose(heads.box_predictor, logits, deltas, proposals, limits)
        masks = [] if heads.mask_pooler is None else [self.masks(maps, detections, 0)]
        return Output(detections, masks, maps, model.embeddings(features, sizes))

    def normalized(self, pixels: Tensor, sizes: Tensor) -> Tensor:
        """Return the batch as (N, 3, H, W), with zeros beyond each image."""
        height, width = pixels.shape[1:3]
        rows = torch.arange(height, device=pixels.device) < sizes[:, :1]
        columns = torch.arange(width, device=pixels.device) < sizes[:, 1:]
        inside = rows[:, :, None, None] & columns[:, None, :, None]
        values = (pixels - self.model.pixel_mean) / self.model.pixel_std
        return values.masked_fill(~inside, 0).permute(0, 3, 1, 2)

    def masks(self, maps: Sequence[Tensor], detections: PaddedDetections, first: int) -> Tensor:
        """Return the masks (C, M, M) of the valid detections of the batch from number `first` on.

        They are counted through all images. C does not depend on how many there are: beyond the
        last one, masks mean nothing.
        """
        heads = self.model.roi_heads
        assert heads.mask_pooler is not None, "a model without masks has no pooler for them"
        slots = detections.valid.flatten().logical_not().to(torch.uint8).argsort(stable=True)
        chunk = slots[first : first + MASKS_PER_IMAGE * len(detections.valid)]
        boxes = detections.boxes.flatten(0, 1)[chunk]
        images = _index_of_images(detections.valid)[chunk]
        logits = self.model.networks.mask(pool(heads.mask_pooler, maps, boxes, images))
        return mask_probabilities(logits, detections.classes.flatten()[chunk])


def _index_of_images(valid: Tensor) -> Tensor:
    """Return the (N * K,) int64 index of the image of each of the (N, K) flattened."""
    images = torch.arange(len(valid), device=valid.device)
    return images[:, None].expand_as(valid).flatten()
