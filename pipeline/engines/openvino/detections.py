from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.openvino.boxes import apply_deltas, clip
from pipeline.engines.openvino.suppression import Suppression
from pipeline.instances import Instances

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Detections:
    """The choice of detections from the box head's output (Fast R-CNN).

    sigmoid: whether class scores are computed one by one. topk: the most detections, or below 0
    for no limit.
    """

    suppression: Suppression
    sigmoid: bool
    bbox_reg_weights: Sequence[float]
    score_thresh: float
    nms_thresh: float
    topk: int

    def __call__(
        self, logits: Floats, deltas: Floats, proposals: Floats, image_size: tuple[int, int]
    ) -> Instances:
        """Return the detections without masks, clipped to the image.

        logits: (R, K + 1), the background last. deltas: (R, K * 4) or (R, 4). proposals: (R, 4)
        XYXY. image_size: (height, width).
        """
        scores = sigmoid(logits) if self.sigmoid else softmax(logits)
        sets = deltas.reshape(len(deltas), deltas.shape[1] // 4, 4)
        boxes = apply_deltas(sets, proposals, self.bbox_reg_weights)

        finite = np.isfinite(boxes).all(axis=(1, 2)) & np.isfinite(scores).all(axis=1)
        boxes, scores = clip(boxes[finite], image_size), scores[finite, :-1]
        rows, classes = (scores > self.score_thresh).nonzero()
        boxes = boxes[rows, classes if boxes.shape[1] > 1 else 0]
        scores = scores[rows, classes]
        keep = self.suppression(boxes, scores, classes, self.nms_thresh)
        if self.topk >= 0:
            keep = keep[: self.topk]
        return Instances(boxes[keep], scores[keep], classes[keep], masks=None)


def softmax(logits: Floats) -> Floats:
    """Return the softmax of each row."""
    with np.errstate(invalid="ignore"):
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        shares: Floats = powers / powers.sum(axis=1, keepdims=True)
    return shares


def sigmoid(logits: Floats) -> Floats:
    with np.errstate(over="ignore"):
        return np.float32(1) / (np.float32(1) + np.exp(-logits))


def chosen_masks(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    """Return the probabilities (N, M, M) of the mask of each detection's class.

    logits: (N, K, M, M) or, class-agnostic, (N, 1, M, M).
    """
    channels = classes if logits.shape[1] > 1 else np.zeros_like(classes)
    return sigmoid(logits[np.arange(len(logits)), channels])
