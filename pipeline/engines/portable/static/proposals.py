from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from pipeline.engines.portable.boxes import clip, nonempty
from pipeline.engines.portable.networks import Prediction
from pipeline.engines.portable.rpn import RPN
from pipeline.engines.portable.static.selection import best, rows_at
from pipeline.engines.portable.static.suppression import moved_apart, overlaps, survivors


class Proposals(NamedTuple):
    """The proposals of a batch, as many for each image.

    boxes: (N, P, 4) XYXY by descending objectness, zeros where not valid. valid: (N, P) bool.
    settled: (N,) bool, whether an image's proposals are those of the greedy suppression.
    """

    boxes: Tensor
    valid: Tensor
    settled: Tensor


def propose(
    rpn: RPN, predictions: Sequence[Prediction], input_size: tuple[int, int], limits: Tensor
) -> Proposals:
    """Return the proposals that `RPN.forward` returns, padded to as many for each image.

    limits: (N, 4), as for `clip`.
    """
    scores, boxes = _stacked(rpn.best_of_levels(predictions, input_size))
    finite = boxes.isfinite().all(dim=-1) & scores.isfinite()
    boxes = clip(boxes, limits[:, None, None])
    valid = finite & nonempty(boxes, rpn.min_box_size)
    boxes = boxes.masked_fill(~valid[..., None], 0)

    levels = torch.arange(boxes.shape[1], device=boxes.device)[:, None]
    largest = F.pad(boxes.flatten(1), (0, 1)).amax(dim=1)
    compared = moved_apart(boxes, levels, valid.sum(dim=(1, 2)), largest)
    kept, settled = survivors(overlaps(compared, rpn.nms_thresh), valid)
    chosen, is_valid = best(scores.flatten(1), kept.flatten(1), rpn.post_nms_topk)
    chosen_boxes = rows_at(boxes.flatten(1, 2), chosen)
    return Proposals(
        chosen_boxes.masked_fill(~is_valid[..., None], 0), is_valid, settled.all(dim=1)
    )


def _stacked(levels: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return scores (N, L, K) and boxes (N, L, K, 4) of all levels.

    A level with fewer than K is padded with scores of minus infinity.
    """
    most = max(scores.shape[1] for scores, _ in levels)
    padded = [
        (
            F.pad(scores, (0, most - scores.shape[1]), value=-torch.inf),
            F.pad(boxes, (0, 0, 0, most - boxes.shape[1])),
        )
        for scores, boxes in levels
    ]
    scores, boxes = zip(*padded, strict=True)
    return torch.stack(scores, dim=1), torch.stack(boxes, dim=1)
