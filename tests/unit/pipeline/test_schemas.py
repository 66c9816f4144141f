import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.schemas import Detection, ModelInfo, Prediction, PredictOptions, Problem
from tests.integration.gateway.ingress import prediction


def answer(**changes: Any) -> Prediction:
    return Prediction.model_validate(prediction("id") | changes)


def test_score_threshold_of_minus_zero_becomes_zero():
    (threshold,) = (PredictOptions(score_threshold=value).score_threshold for value in [-0.0])
    assert math.copysign(1, threshold) == 1
    assert (
        PredictOptions.model_validate({"score_threshold": "-0"}).model_dump_json().endswith(":0.0}")
    )


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        ({}, {"below_threshold": 1}),
        ({"score_threshold": 0.9}, {"below_threshold": 1}),
        ({"masks": "polygon"}, {}),
        ({"masks": "none"}, {}),
        ({"visualization": "none"}, {}),
    ],
    ids=["dropped without a threshold", "below it", "another mask", "a mask", "a picture"],
)
def test_rejects_answer_that_contradicts_its_options(options, changes):
    with pytest.raises(ValidationError):
        answer(options=PredictOptions(**options).model_dump(), **changes)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.7, 0.9, 0.95, 1 / 3])
def test_accepts_score_at_threshold_in_float32(threshold):
    (detection,) = prediction("id")["detections"]
    score = float(np.float32(threshold))
    answer(
        options=PredictOptions(score_threshold=threshold).model_dump(),
        detections=[Detection.model_validate(detection | {"score": score}).model_dump()],
        metrics=prediction("id")["metrics"] | {"scores": [score]},
    )


@pytest.mark.parametrize("missing", ["options", "below_threshold", "correlation_id"])
def test_rejects_answer_without_fields_of_its_request(missing):
    values = prediction("id")
    del values[missing]
    with pytest.raises(ValidationError):
        Prediction.model_validate(values)


@pytest.mark.parametrize("digest", ["d" * 63, "D" * 64, "d" * 64 + "\n", "-" * 64])
def test_rejects_bundle_digest_that_is_not_sha256(digest):
    with pytest.raises(ValidationError):
        ModelInfo.model_validate(prediction("id")["model"] | {"bundle_sha256": digest})


def test_problem_has_valid_correlation_id_or_null():
    values = {"title": "T", "status": 400, "detail": "D", "code": "c", "request_id": "id"}
    assert Problem.model_validate(values).correlation_id is None
    with pytest.raises(ValidationError):
        Problem.model_validate(values | {"correlation_id": "a b"})
