"""What the watch of the model sees of the demo's held-out images, as they are and changed."""

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.accuracy import BUNDLE, OUT, held_out
from pipeline.bundle.bundle import open_bundle
from pipeline.observation import observe
from pipeline.predictor import LesionPredictor
from pipeline.schemas import Metrics, Prediction, PredictOptions

Pixels = NDArray[np.uint8]
Values = dict[str, dict[str, float]]

_OPTIONS = PredictOptions(masks="none", visualization="none")
_DROPPED = "HSIL"


def observed_images() -> dict[str, list[Values]]:
    """Return the observations of each held-out image: as it is ("unchanged"), and changed."""
    bundle = open_bundle(BUNDLE)
    predictor = bundle.predictor(bundle.load_engine("auto", "cpu"))
    files = sorted((held_out(OUT) / "images").iterdir())
    pictures = [_read(file) for file in files]
    answers = {"unchanged": [_answer(predictor, picture) for picture in pictures]}
    for name, change in CHANGES.items():
        answers[name] = [_answer(predictor, change(picture)) for picture in pictures]
    for name, alter in ALTERED.items():
        answers[name] = [alter(answer) for answer in answers["unchanged"]]
    return {name: [_plain(answer) for answer in of_name] for name, of_name in answers.items()}


def _read(file: Path) -> Pixels:
    """Return the BGR picture, shape (height, width, 3)."""
    picture = cv2.imread(str(file), cv2.IMREAD_COLOR)
    assert picture is not None, file
    return picture.astype(np.uint8)


def _answer(predictor: LesionPredictor, picture: Pixels) -> Prediction:
    encoded = cv2.imencode(".png", picture)[1].tobytes()
    return predictor(encoded, _OPTIONS)


def _plain(answer: Prediction) -> Values:
    return {group: dict(values) for group, values in observe(answer).items()}


def _blurred(sigma: float) -> Callable[[Pixels], Pixels]:
    return lambda picture: cv2.GaussianBlur(picture, (0, 0), sigma).astype(np.uint8)


def _scaled(*factors: float) -> Callable[[Pixels], Pixels]:
    """Multiply blue, green and red."""
    return lambda picture: np.clip(picture * np.array(factors), 0, 255).astype(np.uint8)


def _resized(picture: Pixels) -> Pixels:
    height, width = picture.shape[:2]
    size = (width * 3 // 2, height * 3 // 2)
    return cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def _without_class(answer: Prediction) -> Prediction:
    kept = [row for row in answer.detections if row.label != _DROPPED]
    return _with_detections(answer, kept)


def _with_lower_scores(answer: Prediction) -> Prediction:
    lower = [row.model_copy(update={"score": row.score * 0.95}) for row in answer.detections]
    return _with_detections(answer, lower)


def _with_detections(answer: Prediction, detections: list) -> Prediction:
    metrics = Metrics.of(detections, answer.metrics.class_distribution)
    return answer.model_copy(update={"detections": detections, "metrics": metrics})


CHANGES: Mapping[str, Callable[[Pixels], Pixels]] = {
    "blur of 0.7 px": _blurred(0.7),
    "blur of 1.5 px": _blurred(1.5),
    "light x 0.9": _scaled(0.9, 0.9, 0.9),
    "light x 0.7": _scaled(0.7, 0.7, 0.7),
    "red x 1.05": _scaled(1, 1, 1.05),
    "red x 1.2": _scaled(1, 1, 1.2),
    "another camera: 1.5 times the pixels": _resized,
}
ALTERED: Mapping[str, Callable[[Prediction], Prediction]] = {
    f"the class {_DROPPED} is no longer found": _without_class,
    "scores x 0.95": _with_lower_scores,
}
