import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from pipeline.engines.portable.boxes import apply_deltas, batched_nms, clip
from pipeline.engines.portable.layers import Conv2d
from pipeline.engines.portable.networks import Networks
from pipeline.engines.portable.roi_align import roi_align

# Equation (1) of Feature Pyramid Networks: a box of 224 x 224 pixels belongs to level 4.
CANONICAL_BOX_SIZE = 224
CANONICAL_LEVEL = 4


@dataclass(frozen=True)
class Detections:
    """The detections in one image.

    boxes: (N, 4) XYXY in model input pixels. scores: (N,). classes: (N,) int64. masks: (N, M, M)
    probabilities within each box, or None without masks. embedding: (C,) of the image, as in
    `Instances`; the heads leave it to the model.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    masks: Tensor | None = None
    embedding: Tensor | None = None


class ROIPooler(nn.Module):
    """A layer that pools each box by ROIAlign from the pyramid level for its size.

    strides: strides of the feature maps, each twice the one before. sampling_ratio: samples per bin
    along each side; 0 or less adapts to the box. aligned: ROIAlignV2, which shifts by half a pixel.
    """

    def __init__(
        self, resolution: int, strides: Sequence[int], sampling_ratio: int, aligned: bool
    ) -> None:
        super().__init__()
        self.resolution = resolution
        self.strides = tuple(strides)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, maps: Sequence[Tensor], boxes: Sequence[Tensor]) -> Tensor:
        """Return the pooled features of all boxes, (R, C, resolution, resolution).

        maps: (N, C, h, w) of each level. boxes: (r, 4) XYXY of each image, in input pixels; R is
        the sum of all r.
        """
        rois = torch.cat(list(boxes))
        images = torch.cat(
            [torch.full_like(b[:, 0], i, dtype=torch.int64) for i, b in enumerate(boxes)]
        )
        levels = self.levels(rois)
        # `roi_align` returns channels last on a CPU, so no memory is reordered on the way.
        output = torch.empty(
            (len(rois), maps[0].shape[1], self.resolution, self.resolution),
            dtype=maps[0].dtype,
            device=maps[0].device,
            memory_format=torch.channels_last,
        )
        for level, (feature, stride) in enumerate(zip(maps, self.strides, strict=True)):
            (indices,) = (levels == level).nonzero(as_tuple=True)
            output[indices] = roi_align(
                feature,
                rois[indices],
                images[indices],
                self.resolution,
                stride,
                self.sampling_ratio,
                self.aligned,
            )
        return output

    def levels(self, boxes: Tensor) -> Tensor:
        """Return the (R,) int64 index of the feature map for each of the (R, 4) XYXY boxes."""
        sides = boxes[:, 2:] - boxes[:, :2]
        size = (sides[:, 0] * sides[:, 1]).sqrt()
        level = (CANONICAL_LEVEL + torch.log2(size / CANONICAL_BOX_SIZE + 1e-8)).floor()
        finest, coarsest = math.log2(self.strides[0]), math.log2(self.strides[-1])
        return (level.clamp(finest, coarsest) - finest).to(torch.int64)


class BoxHead(nn.Sequential):
    """A head of 3x3 convolutions and then fully connected layers, each with a ReLU.

    `out_features` is the number of output values per box.
    """

    def __init__(
        self,
        in_channels: int,
        resolution: int,
        conv_dims: Sequence[int],
        fc_dims: Sequence[int],
        norm: str,
    ) -> None:
        super().__init__()
        self.resolution = resolution
        channels = in_channels
        for i, dim in enumerate(conv_dims, start=1):
            self.add_module(f"conv{i}", Conv2d(channels, dim, 3, norm=norm, relu=True))
            channels = dim
        self.add_module("flatten", nn.Flatten())
        self.out_features = channels * resolution**2
        for i, dim in enumerate(fc_dims, start=1):
            self.add_module(f"fc{i}", nn.Linear(self.out_features, dim))
            self.add_module(f"fc_relu{i}", nn.ReLU())
            self.out_features = dim


class BoxPredictor(nn.Module):
    """The last layers of the box head, and the selection of detections (Fast R-CNN)."""

    def __init__(
        self,
        in_features: int,
        num_classes: int,
        *,
        class_agnostic: bool,
        sigmoid: bool,
        bbox_reg_weights: Sequence[float],
        score_thresh: float,
        nms_thresh: float,
        topk: int,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.cls_score = nn.Linear(in_features, num_classes + 1)
        self.bbox_pred = nn.Linear(in_features, 4 * (1 if class_agnostic else num_classes))
        self.sigmoid = sigmoid
        self.bbox_reg_weights = tuple(bbox_reg_weights)
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.topk = topk

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return class logits (R, K + 1) and box deltas (R, K * 4) or (R, 4).

        x: (R, in_features).
        """
        return self.cls_score(x), self.bbox_pred(x)

    def choose(
        self,
        logits: Tensor,
        deltas: Tensor,
        proposals: Sequence[Tensor],
        limits: Tensor,
    ) -> list[Detections]:
        """Return the detections of each image, without masks.

        logits: (R, K + 1) and deltas: (R, K * 4) or (R, 4), of the proposals of all images.
        proposals: (r, 4) XYXY of each image. limits: (N, 4), as for `clip`.
        """
        scores = self.scores(logits)
        boxes = apply_deltas(deltas, torch.cat(list(proposals)), self.bbox_reg_weights)
        counts = [len(p) for p in proposals]
        return [
            self.best_of_image(image_boxes, image_scores, image_limits)
            for image_boxes, image_scores, image_limits in zip(
                torch.split(boxes, counts), torch.split(scores, counts), limits, strict=True
            )
        ]

    def scores(self, logits: Tensor) -> Tensor:
        """Return the probabilities of the classes, (R, K + 1), the background last."""
        return logits.sigmoid() if self.sigmoid else logits.softmax(dim=-1)

    def best_of_image(self, boxes: Tensor, scores: Tensor, limits: Tensor) -> Detections:
        """Return the detections that remain after the score threshold and suppression per class.

        boxes: (R, K * 4) or (R, 4) XYXY. scores: (R, K + 1), the background last.
        """
        finite = boxes.isfinite().all(dim=1) & scores.isfinite().all(dim=1)
        boxes, scores = boxes[finite], scores[finite, :-1]
        boxes = clip(torch.unflatten(boxes, 1, (-1, 4)), limits)

        rows, classes = (scores > self.score_thresh).nonzero(as_tuple=True)
        boxes = boxes[rows, classes if boxes.shape[1] > 1 else 0]
        scores = scores[rows, classes]
        keep = batched_nms(boxes, scores, classes, self.nms_thresh)
        if self.topk >= 0:
            keep = keep[: self.topk]
        return Detections(boxes[keep], scores[keep], classes[keep])


class MaskHead(nn.Sequential):
    """A head of 3x3 convolutions, a 2x upsampling and a mask per class (Mask R-CNN)."""

    def __init__(
        self, in_channels: int, num_convs: int, conv_dim: int, num_masks: int, norm: str
    ) -> None:
        super().__init__()
        channels = in_channels
        for i in range(1, num_convs + 1):
            self.add_module(f"mask_fcn{i}", Conv2d(channels, conv_dim, 3, norm=norm, relu=True))
            channels = conv_dim
        self.deconv = nn.ConvTranspose2d(channels, conv_dim, kernel_size=2, stride=2)
        self.deconv_relu = nn.ReLU()
        self.predictor = nn.Conv2d(conv_dim, num_masks, kernel_size=1)


class StandardROIHeads(nn.Module):
    """The box head, and the mask head on the detected boxes.

    mask_pooler, mask_head: None for a model without masks.
    """

    def __init__(
        self,
        *,
        in_features: Sequence[str],
        box_pooler: ROIPooler,
        box_head: BoxHead,
        box_predictor: BoxPredictor,
        mask_pooler: ROIPooler | None,
        mask_head: MaskHead | None,
    ) -> None:
        super().__init__()
        self.in_features = tuple(in_features)
        self.box_pooler = box_pooler
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.mask_pooler = mask_pooler
        self.mask_head = mask_head

    def forward(
        self,
        networks: Networks,
        features: dict[str, Tensor],
        proposals: Sequence[Tensor],
        limits: Tensor,
    ) -> list[Detections]:
        """Return the detections of each image, with masks where the model predicts them.

        networks: what runs the layers. features: (N, C, h, w) feature maps by name. proposals:
        (r, 4) XYXY of each image. limits: (N, 4), as for `clip`.
        """
        maps = [features[name] for name in self.in_features]
        logits, deltas = networks.box(self.box_pooler(maps, proposals))
        detections = self.box_predictor.choose(logits, deltas, proposals, limits)
        if self.mask_pooler is None:
            return detections
        pooled = self.mask_pooler(maps, [d.boxes for d in detections])
        return add_masks(detections, networks.mask(pooled))


def add_masks(detections: Sequence[Detections], logits: Tensor) -> list[Detections]:
    """Return the detections with the mask of their class.

    logits: (N, K, M, M) or, class-agnostic, (N, 1, M, M), of the N detections of all images.
    """
    masks = mask_probabilities(logits, torch.cat([d.classes for d in detections]))
    return [
        Detections(d.boxes, d.scores, d.classes, m)
        for d, m in zip(
            detections, torch.split(masks, [len(d.scores) for d in detections]), strict=True
        )
    ]


def mask_probabilities(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the probabilities (N, M, M) of the mask of each detection's class.

    logits: (N, K, M, M) or, class-agnostic, (N, 1, M, M). classes: (N,) int64.
    """
    channel = torch.zeros_like(classes) if logits.shape[1] == 1 else classes
    return logits[torch.arange(len(logits), device=logits.device), channel].sigmoid()
