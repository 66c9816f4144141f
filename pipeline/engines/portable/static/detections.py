from typing import NamedTuple

from torch import Tensor
from torch.nn import functional as F

from pipeline.engines.portable.boxes import apply_deltas, clip
from pipeline.engines.portable.roi_heads import BoxPredictor
from pipeline.engines.portable.static.proposals import Proposals
from pipeline.engines.portable.static.selection import best, rows_at
from pipeline.engines.portable.static.suppression import moved_apart, overlaps, survivors

# Pairs of a proposal and a class that are compared with each other, by descending score. A trained
# model scores a few hundred above its threshold. Every pair more would cost the square.
CANDIDATES = 1024


class PaddedDetections(NamedTuple):
    """The detections in a batch, as many for each image, by descending score.

    boxes: (N, D, 4) XYXY in model input pixels. scores: (N, D). classes: (N, D) int64. valid:
    (N, D) bool; what is not valid comes last. settled: (N,) bool, whether an image's detections are
    those of Detectron2. Where they are not, they must not be used.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    valid: Tensor
    settled: Tensor


class _Candidates(NamedTuple):
    """Pairs of a proposal and a class, as in PaddedDetections.

    counts, largest: (N,) the number of pairs in each image, before the best were chosen, and the
    largest coordinate of their boxes.
    """

    boxes: Tensor
    scores: Tensor
    classes: Tensor
    valid: Tensor
    counts: Tensor
    largest: Tensor


def choose(
    predictor: BoxPredictor, logits: Tensor, deltas: Tensor, proposals: Proposals, limits: Tensor
) -> PaddedDetections:
    """Return the detections that `BoxPredictor.choose` returns, padded to as many for each image.

    logits: (N * P, K + 1) and deltas: (N * P, K * 4) or (N * P, 4), of all proposals, valid or not.
    limits: (N, 4), as for `clip`.
    """
    candidates = _candidates(predictor, logits, deltas, proposals, limits)
    compared = moved_apart(
        candidates.boxes, candidates.classes, candidates.counts, candidates.largest
    )
    of_one_class = candidates.classes[:, :, None] == candidates.classes[:, None]
    conflicts = overlaps(compared, predictor.nms_thresh) & of_one_class
    kept, settled = survivors(conflicts, candidates.valid)

    most = candidates.valid.shape[1]
    is_complete = candidates.counts <= most
    if 0 <= predictor.topk < most:
        # No candidate that was left out has a score among the `topk` best.
        is_complete |= kept.sum(dim=1) >= predictor.topk
        most = predictor.topk
    chosen, valid = best(candidates.scores, kept, most)
    return PaddedDetections(
        boxes=rows_at(candidates.boxes, chosen),
        scores=candidates.scores.gather(1, chosen),
        classes=candidates.classes.gather(1, chosen),
        valid=valid,
        settled=settled & is_complete & proposals.settled,
    )


def _candidates(
    predictor: BoxPredictor, logits: Tensor, deltas: Tensor, proposals: Proposals, limits: Tensor
) -> _Candidates:
    count, most = proposals.valid.shape
    scores = predictor.scores(logits)
    boxes = apply_deltas(deltas, proposals.boxes.flatten(0, 1), predictor.bbox_reg_weights)
    finite = boxes.isfinite().all(dim=1) & scores.isfinite().all(dim=1)
    boxes = clip(boxes.view(count, most, boxes.shape[1] // 4, 4), limits[:, None, None])
    scores = scores[:, :-1].reshape(count, most, scores.shape[1] - 1)
    usable = proposals.valid & finite.view(count, most)
    valid = usable[..., None] & (scores > predictor.score_thresh)
    per_class = boxes.expand(-1, -1, scores.shape[2], -1)
    boxes_of_pairs = per_class.masked_fill(~valid[..., None], 0).flatten(1, 2)

    chosen, is_valid = best(scores.flatten(1), valid.flatten(1), CANDIDATES)
    return _Candidates(
        boxes=rows_at(boxes_of_pairs, chosen),
        scores=scores.flatten(1).gather(1, chosen),
        classes=chosen % scores.shape[2],
        valid=is_valid,
        counts=valid.sum(dim=(1, 2)),
        largest=F.pad(boxes_of_pairs.flatten(1), (0, 1)).amax(dim=1),
    )
