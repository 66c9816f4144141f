"""COCO's average precision, for all images and for bootstrap samples of them.

pycocotools matches detections with annotations, which takes nearly all of the time and is done
once. The curves of precision and recall are those of its `COCOeval.accumulate`, where each image
counts as often as a sample holds it.
"""

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

Kind = Literal["bbox", "segm"]

# Of one image, by falling score, as COCO's `AP`.
_MAX_DETECTIONS = 100
_SAMPLES = 1000
_SEED = 0

Weights = NDArray[np.int64]


@dataclass(frozen=True)
class Matches:
    """The detections of one class in all images, by falling score, and what they match.

    image: (D,) the place of each one's image. is_true, is_false: (10, D) whether it matches an
    annotation, and whether it counts as wrong, at IoUs from 0.5 to 0.95; neither where it matches
    a crowd. annotations: (images,) the number of those that count.
    """

    image: NDArray[np.int64]
    is_true: NDArray[np.bool_]
    is_false: NDArray[np.bool_]
    annotations: NDArray[np.int64]

    def average_precision(self, weights: Weights, recalls: NDArray[np.float64]) -> float | None:
        """Return the AP where image i counts `weights[i]` times; None without annotations."""
        positives = int(weights @ self.annotations)
        if positives == 0:
            return None
        weight = weights[self.image]
        true = np.cumsum(self.is_true * weight, axis=1)
        false = np.cumsum(self.is_false * weight, axis=1)
        recall = true / positives
        precision = true / np.maximum(true + false, 1)
        # At each recall, the highest precision there or beyond it; 0 beyond the last.
        best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        best = np.pad(best, ((0, 0), (0, 1)))
        places = [np.searchsorted(row, recalls) for row in recall]
        return float(np.take_along_axis(best, np.array(places), axis=1).mean())


@dataclass(frozen=True)
class Evaluation:
    """The matches of each class; `average_precision` is COCO's."""

    classes: Sequence[Matches]
    recalls: NDArray[np.float64]

    def average_precision(self, weights: Weights) -> float:
        """Return the mean AP of the classes that have annotations, with weights of the images."""
        values = [matches.average_precision(weights, self.recalls) for matches in self.classes]
        return float(np.mean([value for value in values if value is not None]))


def evaluate(
    truth: Mapping[str, Any], detections: Sequence[Mapping[str, Any]], kind: Kind
) -> Evaluation:
    """Return the matches of detections with the annotations of a COCO document.

    Both have `image_id`, `category_id`, `bbox` (XYWH) and `segmentation` (RLE), and detections a
    `score`.
    """
    found = {"images": truth["images"], "categories": truth["categories"]}
    with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
        evaluation = COCOeval(
            _indexed(dict(truth)), _indexed({**found, "annotations": list(detections)}), kind
        )
        parameters = evaluation.params
        parameters.maxDets = [_MAX_DETECTIONS]
        parameters.areaRng, parameters.areaRngLbl = [[0, 1e10]], ["all"]
        evaluation.evaluate()
    count = len(parameters.imgIds)
    entries = [
        evaluation.evalImgs[start : start + count]
        for start in range(0, count * len(parameters.catIds), count)
    ]
    thresholds = len(parameters.iouThrs)
    classes = [_matches(of_class, thresholds) for of_class in entries]
    return Evaluation(classes, np.asarray(parameters.recThrs, np.float64))


def samples(images: int) -> Weights:
    """Return how often each of 1000 bootstrap samples holds each image: (1000, images).

    They are the same in every call, so that losses are compared in the same samples.
    """
    shares = np.full(images, 1 / images)
    return np.random.default_rng(_SEED).multinomial(images, shares, size=_SAMPLES)


def _indexed(document: dict[str, Any]) -> COCO:
    """Return the document as pycocotools takes it, with what it needs of each annotation.

    Ids start at 1: it takes an annotation with the id 0 for none. Without areas no range of them
    is evaluated, so any number does.
    """
    coco = COCO()
    coco.dataset = document | {
        "annotations": [
            {"iscrowd": 0, **annotation, "id": number, "area": 1.0}
            for number, annotation in enumerate(document["annotations"], 1)
        ]
    }
    coco.createIndex()
    return coco


def _matches(images: Sequence[Any], thresholds: int) -> Matches:
    """Return the matches of a class from what pycocotools says of each image, None for nothing."""
    scores, places = [np.zeros(0)], [np.zeros(0, np.int64)]
    matched = [np.zeros((thresholds, 0), np.bool_)]
    ignored = [np.zeros((thresholds, 0), np.bool_)]
    annotations = np.zeros(len(images), np.int64)
    for place, image in enumerate(images):
        if image is None:
            continue
        scores.append(np.asarray(image["dtScores"], np.float64))
        places.append(np.full(len(scores[-1]), place))
        matched.append(np.asarray(image["dtMatches"]) != 0)
        ignored.append(np.asarray(image["dtIgnore"], np.bool_))
        annotations[place] = np.count_nonzero(np.asarray(image["gtIgnore"]) == 0)
    order = np.argsort(-np.concatenate(scores), kind="stable")
    is_matched = np.concatenate(matched, axis=1)[:, order]
    counts = ~np.concatenate(ignored, axis=1)[:, order]
    return Matches(
        image=np.concatenate(places)[order],
        is_true=is_matched & counts,
        is_false=~is_matched & counts,
        annotations=annotations,
    )
