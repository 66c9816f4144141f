import numpy as np
from numpy.typing import NDArray

from pipeline.engines.openvino.runtime import ONE_THREAD, CompiledGraph, runtime

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

# torchvision, and with it Detectron2, tells the groups of at most so many boxes apart by moving
# them, and suppresses more boxes group by group. Moved boxes are rounded differently.
_MOST_MOVED = 1000


class Suppression:
    """Non-maximum suppression by OpenVINO's operation, with the result of torchvision's."""

    def __init__(self) -> None:
        ops = runtime().opset13
        boxes = ops.parameter([1, -1, 4], np.float32)
        ranks = ops.parameter([1, -1, -1], np.float32)
        most = ops.parameter([], np.int64)
        threshold = ops.parameter([], np.float32)
        chosen = ops.non_max_suppression(
            boxes, ranks, most, threshold, box_encoding="corner", sort_result_descending=True
        )
        graph = runtime().Model(
            [chosen.output(0), chosen.output(2)], [boxes, ranks, most, threshold], "suppression"
        )
        self._graph = CompiledGraph(graph, "float32", ONE_THREAD)

    def __call__(
        self, boxes: Floats, scores: Floats, groups: Ints, iou_threshold: float
    ) -> NDArray[np.intp]:
        """Return the indices of the boxes that are kept, by descending score.

        A box is suppressed where its intersection over union with a kept box of its group and of a
        higher score exceeds the threshold. Of equal scores the first counts as higher. boxes:
        (N, 4) float32 XYXY; scores and groups: (N,), all finite.
        """
        count = len(boxes)
        if count == 0:
            return np.empty(0, dtype=np.intp)
        order = np.argsort(-scores, kind="stable")
        boxes, groups = boxes[order], groups[order]
        # OpenVINO leaves out boxes with scores of 0 and less. The order is all that counts.
        ranks = np.arange(count, 0, -1, dtype=np.float32)
        if count <= _MOST_MOVED:
            offsets = groups.astype(np.float32) * (boxes.max() + np.float32(1))
            boxes, by_group = boxes + offsets[:, None], ranks[None]
        else:
            by_group = np.where(groups == np.unique(groups)[:, None], ranks, np.float32(0))
        chosen, number = self._graph(
            boxes[None],
            by_group[None],
            np.array(count, dtype=np.int64),
            np.array(_least_above(iou_threshold), dtype=np.float32),
        )
        return order[chosen[: int(number[0]), 2]]


def _least_above(threshold: float) -> np.float32:
    """Return the least float32 above `threshold`.

    OpenVINO suppresses boxes whose overlap is at least its threshold, torchvision boxes whose
    overlap, as a float32, exceeds it.
    """
    nearest = np.float32(threshold)
    return nearest if float(nearest) > threshold else np.nextafter(nearest, np.float32(np.inf))
