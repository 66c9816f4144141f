"""The numbers that are kept of each image to see whether images and findings have changed.

A bundle's profile holds their distributions over the images that the model was validated on.
"""

from collections.abc import Mapping, Sequence

from pipeline.rounding import significant
from pipeline.schemas import ImageInfo, Prediction

# The statistics of one image by group, and by name in the group.
Observation = Mapping[str, Mapping[str, float]]

# The groups that say what the model made of the image.
_OF_MODEL = ("detections", "scores", "classes", "areas", "embedding")


def observe(prediction: Prediction) -> Observation:
    """Return the statistics of an image from its answer, which needs no options.

    A statistic that the image does not have, such as the highest score of no lesions, is left out;
    of an image whose detections are withheld, all but its input and its quality. The groups:

    input: `megapixels`, and `aspect`: width by height.
    quality: those of `ImageStatistics`; none in an answer without them.
    detections: `count`.
    scores: `highest` and `mean`.
    classes: the number of lesions of each class, by its label.
    areas: `largest` and `sum` of the boxes, as shares of the image.
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
        "areas": _areas(prediction.metrics.box_areas, prediction.image),
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
    return {"highest": max(scores), "mean": sum(scores) / len(scores)} if scores else {}


def _areas(areas: Sequence[float], image: ImageInfo) -> Mapping[str, float]:
    pixels = image.width * image.height
    return {"largest": max(areas) / pixels, "sum": sum(areas) / pixels} if areas else {}
