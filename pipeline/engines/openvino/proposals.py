from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.openvino.anchors import Anchors
from pipeline.engines.openvino.boxes import apply_deltas, clip
from pipeline.engines.openvino.suppression import Suppression

Floats = NDArray[np.float32]
Prediction = tuple[Floats, Floats]
Size = tuple[int, int]


@dataclass(frozen=True)
class Proposals:
    """The choice of proposals from a region proposal network's output (Faster R-CNN).

    anchors: those of each feature map.
    """

    suppression: Suppression
    anchors: Sequence[Anchors]
    bbox_reg_weights: Sequence[float]
    pre_nms_topk: int
    post_nms_topk: int
    nms_thresh: float
    min_box_size: float

    def __call__(self, predictions: Sequence[Prediction], image_size: Size) -> Floats:
        """Return the (R, 4) XYXY proposals by descending objectness, clipped to the image.

        predictions: for each feature map, the logits (A, h, w) and deltas (A * 4, h, w) of its
        anchors. image_size: (height, width) in input pixels.
        """
        levels = [
            self.best_of_level(prediction, anchors)
            for prediction, anchors in zip(predictions, self.anchors, strict=True)
        ]
        scores = np.concatenate([scores for scores, _ in levels])
        boxes = np.concatenate([boxes for _, boxes in levels])
        level_ids = np.repeat(np.arange(len(levels)), [len(scores) for scores, _ in levels])

        finite = np.isfinite(boxes).all(axis=1) & np.isfinite(scores)
        boxes = clip(boxes, image_size)
        large = (boxes[:, 2:] - boxes[:, :2] > self.min_box_size).all(axis=1)
        keep = finite & large
        boxes, scores, level_ids = boxes[keep], scores[keep], level_ids[keep]
        best = self.suppression(boxes, scores, level_ids, self.nms_thresh)
        proposals: Floats = boxes[best[: self.post_nms_topk]]
        return proposals

    def best_of_level(self, prediction: Prediction, anchors: Anchors) -> tuple[Floats, Floats]:
        """Return the scores (K,) and boxes (K, 4) of the `pre_nms_topk` highest scores."""
        logits, deltas = prediction
        places = np.unravel_index(highest(logits.reshape(-1), self.pre_nms_topk), logits.shape)
        shapes, rows, columns = places
        deltas = deltas.reshape(len(logits), 4, *logits.shape[1:])[shapes, :, rows, columns]
        moved = apply_deltas(deltas[:, None], anchors.boxes(*places), self.bbox_reg_weights)
        return logits[places], moved[:, 0]


def highest(scores: Floats, count: int) -> NDArray[np.int64]:
    """Return the indices of the `count` highest scores, in descending order.

    As in PyTorch, a score that is not a number counts as higher than any other.
    """
    first = max(0, len(scores) - count)
    if 0 < first < len(scores):
        top = np.argpartition(scores, first)[first:]
    else:
        top = np.arange(first, len(scores))
    return top[np.argsort(scores[top])[::-1]]
