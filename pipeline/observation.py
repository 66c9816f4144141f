"""The numbers that are kept of each image to see whether images and findings have changed.

A bundle's profile holds their distributions over the images that the model was validated on.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from pipeline.lesion_boxes import boxes_of, ious
from pipeline.rounding import significant
from pipeline.schemas import Detection, ImageInfo, Prediction

# The statistics of one image by group, and by name in the group.
Observation = Mapping[str, Mapping[str, float]]

# The groups that say what the model made of the image.
_OF_MODEL = ("detections", "scores", "classes", "areas", "embedding")

# Of a side of the image, the part within which a box reaches its edge: a model sees 4,000 pixels as
# 800, and its boxes end between them.
_EDGE = 0.005


def observe(prediction: Prediction) -> Observation:
    """Return the statistics of an image from its answer, which needs no options.

    A statistic that the image does not have, such as the highest score of no lesions, is left out;
    of an image whose detections are withheld, all but its input and its quality. The groups:

    input: `megapixels`, and `aspect`: width by height.
    quality: those of `ImageStatistics`; none in an answer without them.
    detections: `count`.
    scores: `highest`, `lowest` and `mean`.
    classes: the number of lesions of each class, by its label.
    areas: of the boxes as shares of the image, `largest`, `smallest`, `mean` and `sum`;
    `elongation`, the mean of a box's longer side by its shorter one; `box_fill`, the mean of the
    mask's share of its box, where the model predicts masks; `centre_x` and `centre_y`, the mean of
    the boxes' centres as shares of width and height; `edge_share` of the lesions whose box is
    within 0.5 % of the image's width or height of an edge; `overlap`, the highest IoU of two boxes,
    0 for one lesion. Sides and areas of boxes count as one pixel at least.
    embedding: `distance`, from the validation images; none where the answer does not have it.

    Every value has six significant digits, as the values of a profile have.
    """
    return {
        group: {name: significant(value) for name, value in statistics.items()}
        for group, statistics in _measured(prediction).items()
    }


def _measured(prediction: Prediction) -> Observation:
    quality = {} if prediction.quality is None else prediction.quality.statistics.model_dump()
    measured = {"input": _input(prediction.image), "quality": quality}
    if prediction.is_withheld:
        return measured | {group: {} for group in _OF_MODEL}
    return measured | {
        "detections": {"count": len(prediction.detections)},
        "scores": _scores(prediction.metrics.scores),
        "classes": prediction.metrics.class_distribution,
        "areas": _areas(prediction.detections, prediction.image),
        "embedding": _embedding(prediction.embedding_distance),
    }


def _input(image: ImageInfo) -> Mapping[str, float]:
    return {
        "megapixels": image.width * image.height / 1_000_000,
        "aspect": image.width / image.height,
    }


def _embedding(distance: float | None) -> Mapping[str, float]:
    return {} if distance is None else {"distance": distance}


def _scores(scores: Sequence[float]) -> Mapping[str, float]:
    if not scores:
        return {}
    return {"highest": max(scores), "lowest": min(scores), "mean": sum(scores) / len(scores)}


def _areas(lesions: Sequence[Detection], image: ImageInfo) -> Mapping[str, float]:
    if not lesions:
        return {}
    boxes = boxes_of(lesions)
    shares = np.array([lesion.box_area for lesion in lesions]) / (image.width * image.height)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1.0)  # at least a pixel
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / (image.width, image.height)
    measured = {
        "largest": shares.max(),
        "smallest": shares.min(),
        "mean": shares.mean(),
        "sum": shares.sum(),
        "elongation": (sides.max(axis=1) / sides.min(axis=1)).mean(),
        "centre_x": centres[:, 0].mean(),
        "centre_y": centres[:, 1].mean(),
        "edge_share": sum(_reaches_edge(lesion, image) for lesion in lesions) / len(lesions),
        "overlap": np.triu(ious(boxes, boxes), k=1).max(),
    }
    return {**{name: float(value) for name, value in measured.items()}, **_fill(lesions)}


def _reaches_edge(lesion: Detection, image: ImageInfo) -> bool:
    """Return whether the box reaches an edge of the image, as nearly as the model places it."""
    left, top, right, bottom = lesion.box
    across, down = _EDGE * image.width, _EDGE * image.height
    return (
        left <= across
        or top <= down
        or right >= image.width - across
        or bottom >= image.height - down
    )


def _fill(lesions: Sequence[Detection]) -> Mapping[str, float]:
    shares = [
        min(lesion.mask_area / max(lesion.box_area, 1.0), 1.0)
        for lesion in lesions
        if lesion.mask_area is not None
    ]
    return {"box_fill": sum(shares) / len(shares)} if shares else {}
