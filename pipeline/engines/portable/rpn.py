from collections.abc import Sequence

import torch
from torch import Tensor, nn

from pipeline.engines.portable.anchors import AnchorGenerator
from pipeline.engines.portable.boxes import apply_deltas, batched_nms, clip, nonempty
from pipeline.engines.portable.layers import Conv2d
from pipeline.engines.portable.networks import Prediction

Size = tuple[int, int]


class RPNHead(nn.Module):
    """The convolutions that predict objectness and box deltas of every anchor of a feature map.

    conv_dims: output channels of the hidden 3x3 convolutions; -1 keeps the number of channels.
    """

    def __init__(self, in_channels: int, num_anchors: int, conv_dims: Sequence[int]) -> None:
        super().__init__()
        hidden = nn.Sequential()
        channels = in_channels
        for i, dim in enumerate(conv_dims):
            width = channels if dim == -1 else dim
            hidden.add_module(f"conv{i}", Conv2d(channels, width, 3, relu=True))
            channels = width
        # In checkpoints the name of a single convolution has no number.
        self.conv = hidden[0] if len(conv_dims) == 1 else hidden
        self.objectness_logits = nn.Conv2d(channels, num_anchors, 1)
        self.anchor_deltas = nn.Conv2d(channels, num_anchors * 4, 1)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits (N, H * W * A) and deltas (N, H * W * A, 4), in the order of the anchors.

        feature: (N, C, H, W).
        """
        logits, deltas = (output.permute(0, 2, 3, 1).flatten(1) for output in self.maps(feature))
        return logits, torch.unflatten(deltas, 1, (-1, 4))

    def maps(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """Return the logits (N, A, H, W) and the deltas (N, A * 4, H, W)."""
        hidden = self.conv(feature)
        return self.objectness_logits(hidden), self.anchor_deltas(hidden)


class RPN(nn.Module):
    """A region proposal network (Faster R-CNN) on a feature pyramid."""

    def __init__(
        self,
        *,
        in_features: Sequence[str],
        rpn_head: RPNHead,
        anchor_generator: AnchorGenerator,
        bbox_reg_weights: Sequence[float],
        pre_nms_topk: int,
        post_nms_topk: int,
        nms_thresh: float,
        min_box_size: float,
    ) -> None:
        super().__init__()
        self.in_features = tuple(in_features)
        self.rpn_head = rpn_head
        self.anchor_generator = anchor_generator
        self.bbox_reg_weights = tuple(bbox_reg_weights)
        self.pre_nms_topk = pre_nms_topk
        self.post_nms_topk = post_nms_topk
        self.nms_thresh = nms_thresh
        self.min_box_size = min_box_size

    def predict(self, features: dict[str, Tensor]) -> list[Prediction]:
        """Return the head's logits and deltas for each of `in_features`, in their order."""
        return [self.rpn_head(features[name]) for name in self.in_features]

    def forward(
        self, predictions: Sequence[Prediction], input_size: Size, limits: Tensor
    ) -> list[Tensor]:
        """Return the (R, 4) XYXY proposals of each image by descending objectness, clipped to it.

        predictions: the results of `predict`. input_size: (height, width) of the padded batch.
        limits: (N, 4), as for `clip`.
        """
        levels = self.best_of_levels(predictions, input_size)
        scores = torch.cat([level_scores for level_scores, _ in levels], dim=1)
        boxes = torch.cat([level_boxes for _, level_boxes in levels], dim=1)
        level_ids = torch.cat(
            [torch.full_like(s[0], i, dtype=torch.int64) for i, (s, _) in enumerate(levels)]
        )
        return [
            self.best_of_image(image_boxes, image_scores, level_ids, image_limits)
            for image_boxes, image_scores, image_limits in zip(boxes, scores, limits, strict=True)
        ]

    def best_of_levels(
        self, predictions: Sequence[Prediction], input_size: Size
    ) -> list[tuple[Tensor, Tensor]]:
        """Return the result of `best_of_level` for each feature map."""
        anchors = self.anchor_generator(input_size)
        return [
            self.best_of_level(prediction, level_anchors)
            for prediction, level_anchors in zip(predictions, anchors, strict=True)
        ]

    def best_of_level(self, prediction: Prediction, anchors: Tensor) -> tuple[Tensor, Tensor]:
        """Return the `pre_nms_topk` best proposals: scores (N, K) and boxes (N, K, 4) XYXY."""
        logits, deltas = prediction
        scores, top = logits.topk(min(logits.shape[1], self.pre_nms_topk), dim=1)
        top_deltas = deltas.gather(1, top[..., None].expand(-1, -1, 4)).reshape(-1, 4)
        boxes = apply_deltas(top_deltas, anchors[top].reshape(-1, 4), self.bbox_reg_weights)
        return scores, boxes.view(*scores.shape, 4)

    def best_of_image(
        self, boxes: Tensor, scores: Tensor, level_ids: Tensor, limits: Tensor
    ) -> Tensor:
        """Return at most `post_nms_topk` (R, 4) XYXY proposals after suppression per level."""
        finite = boxes.isfinite().all(dim=1) & scores.isfinite()
        boxes = clip(boxes, limits)
        keep = finite & nonempty(boxes, self.min_box_size)
        boxes, scores, level_ids = boxes[keep], scores[keep], level_ids[keep]
        best = batched_nms(boxes, scores, level_ids, self.nms_thresh)
        return boxes[best[: self.post_nms_topk]]
