"""Make a bundle's reference profile: run the model on its validation images."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.bundle.annotated_images import AnnotatedImages
from pipeline.bundle.bundle import Bundle
from pipeline.bundle.embedding_fit import fit, held_out_distances
from pipeline.bundle.limit_rule import RULE, derive_limits
from pipeline.bundle.manifest import sha256_of
from pipeline.bundle.profile import (
    LEVELS,
    PROFILE_FILE,
    Distribution,
    Histogram,
    ProfileAccuracy,
    ReferenceProfile,
)
from pipeline.bundle.profile_accuracy import to_accuracy
from pipeline.bundle.validation import (
    Show,
    Validation,
    answer_annotated,
    answer_images,
    find_images,
)
from pipeline.image.gradability import QualityLimits
from pipeline.observation import observe
from pipeline.predictor import Answer, LesionPredictor
from pipeline.rounding import significant
from pipeline.schemas import Prediction

Floats = NDArray[np.float32]

_SCORE_BINS = tuple(bin / 20 for bin in range(21))
# The groups of `observe` whose statistics are whole numbers.
_COUNTS = ("detections", "classes")


def add_profile(
    bundle: Bundle, validation: Validation, annotated: AnnotatedImages | None, show: Show
) -> None:
    """Write the profile of the validation images into the bundle's folder, and seal it again.

    The engine is the one that serves the bundle on a CPU in float32, with one thread, so that the
    same images give the same bytes. `show` takes a line of progress. Raise ModelError.
    """
    predictor = bundle.predictor(bundle.load_engine("auto", "cpu", threads=1))
    answers = _answers(predictor, validation, annotated, show)
    predictions = [answer.prediction for answer in answers]
    accuracy = None
    if annotated is not None:
        accuracy = to_accuracy(
            annotated, predictions, predictor.class_names, masks=bundle.has_masks
        )
    in_int8: Sequence[Floats] = ()
    if bundle.has_int8:
        quantized = bundle.predictor(bundle.load_engine("openvino", "cpu", "int8", threads=1))
        in_int8 = _embeddings(
            _answers(quantized, validation, annotated, lambda line: show(f"{line}, in int8"))
        )
    to_profile(
        predictions,
        bundle.score_threshold,
        validation.limits,
        accuracy,
        _embeddings(answers),
        in_int8,
    ).write(bundle.path)
    files = bundle.manifest.files | {PROFILE_FILE: sha256_of(bundle.path / PROFILE_FILE)}
    bundle.manifest.model_copy(update={"files": files}).sealed().write(bundle.path)


def _answers(
    predictor: LesionPredictor,
    validation: Validation,
    annotated: AnnotatedImages | None,
    show: Show,
) -> list[Answer]:
    if annotated is None:
        return answer_images(predictor, find_images(validation.images), show)
    return answer_annotated(predictor, annotated, show)


def _embeddings(answers: Sequence[Answer]) -> list[Floats]:
    return [answer.embedding for answer in answers if answer.embedding is not None]


def to_profile(
    predictions: Sequence[Prediction],
    score_threshold: float,
    given: QualityLimits | None = None,
    accuracy: ProfileAccuracy | None = None,
    embeddings: Sequence[Floats] = (),
    in_int8: Sequence[Floats] = (),
) -> ReferenceProfile:
    """Return the profile of the validation images from their answers, at least one.

    score_threshold: the model's own, above which the lesions are. given: the limits of a gradable
    image; without, they follow from the images, where these are enough. embeddings: (C,) of each
    image; none for a model without. in_int8: the same in int8; none for a bundle without such
    layers. Raise BundleError.
    """
    reference = None
    if embeddings:
        reference = fit(np.stack(embeddings), np.stack(in_int8) if in_int8 else None)
        predictions = _with_distances(predictions, held_out_distances(np.stack(embeddings)))
    per_image = _per_image(predictions)
    limits = derive_limits(per_image["quality"]) if given is None else given
    model = predictions[0].model
    return ReferenceProfile(
        images=len(predictions),
        engine=model.engine,
        precision=model.precision,
        score_threshold=score_threshold,
        per_image=per_image,
        per_lesion=_per_lesion(predictions),
        limits=limits,
        limits_source=_source(limits, given),
        accuracy=accuracy,
        embedding=reference,
    )


def _with_distances(
    predictions: Sequence[Prediction], distances: Sequence[float | None]
) -> list[Prediction]:
    return [
        prediction.model_copy(update={"embedding_distance": distance})
        for prediction, distance in zip(predictions, distances, strict=True)
    ]


def _source(limits: QualityLimits | None, given: QualityLimits | None) -> str:
    if given is not None:
        return "given when the bundle was packed"
    return RULE if limits is not None else "none: the images are too few"


def _per_image(predictions: Iterable[Prediction]) -> dict[str, dict[str, Distribution]]:
    values: dict[str, dict[str, list[float]]] = {}
    for prediction in predictions:
        for group, statistics in observe(prediction).items():
            of_group = values.setdefault(group, defaultdict(list))
            for name, value in statistics.items():
                of_group[name].append(value)
    return {
        group: {name: _of_statistic(group, column) for name, column in statistics.items()}
        for group, statistics in values.items()
    }


def _of_statistic(group: str, values: Sequence[float]) -> Distribution:
    if group in _COUNTS:
        return distribution(values, range(int(max(values)) + 2))
    return distribution(values, _SCORE_BINS if group == "scores" else None)


def _per_lesion(predictions: Iterable[Prediction]) -> dict[str, Distribution]:
    values: Mapping[str, list[float]] = {"score": [], "box_share": [], "mask_share": []}
    for prediction in predictions:
        pixels = prediction.image.width * prediction.image.height
        for detection in prediction.detections:
            values["score"].append(detection.score)
            values["box_share"].append(detection.box_area / pixels)
            if detection.mask_area is not None:
                values["mask_share"].append(detection.mask_area / pixels)
    return {
        name: distribution(column, _SCORE_BINS if name == "score" else None)
        for name, column in values.items()
    }


def distribution(values: Sequence[float], edges: Iterable[float] | None = None) -> Distribution:
    """Return the distribution of the values, none of which is outside the `edges` of the bins."""
    quantiles = np.quantile(values, LEVELS).tolist() if values else []
    histogram = None
    if edges is not None:
        counts, _ = np.histogram(values, list(edges))
        histogram = Histogram(edges=list(edges), counts=counts.tolist())
    return Distribution(
        count=len(values),
        quantiles=[significant(value) for value in quantiles],
        histogram=histogram,
    )
