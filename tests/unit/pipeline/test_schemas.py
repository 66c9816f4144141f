import math
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from pipeline.model_info import ModelInfo
from pipeline.schemas import Detection, Prediction, PredictOptions, Problem, Quality
from tests.integration.gateway.ingress import prediction
from tests.quality import statistics


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


def quality(**changes: Any) -> dict[str, Any]:
    values = {"gradable": True, "reasons": [], "withheld": False}
    return {"statistics": statistics().model_dump(), **values, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"gradable": True, "reasons": ["too_dark"]},
        {"gradable": None, "reasons": ["too_dark"]},
        {"gradable": False},
        {"gradable": None, "withheld": True},
        {"withheld": True},
        {"gradable": False, "reasons": ["Too dark!"]},
    ],
    ids=["gradable", "not assessed", "no reason", "withheld unassessed", "withheld", "text"],
)
def test_rejects_quality_that_contradicts_itself(changes):
    with pytest.raises(ValidationError):
        Quality.model_validate(quality(**changes))


def test_accepts_reason_of_later_version():
    assert Quality.model_validate(quality(gradable=False, reasons=["mist"])).reasons == ["mist"]


def test_rejects_detections_that_are_withheld():
    withheld = quality(gradable=False, reasons=["too_dark"], withheld=True)
    with pytest.raises(ValidationError, match="withheld"):
        answer(quality=withheld)


def test_answer_of_older_serving_half_has_no_quality():
    values = prediction("id")
    values.pop("quality", None)
    assert Prediction.model_validate(values).quality is None


@pytest.mark.parametrize("digest", ["d" * 63, "D" * 64, "d" * 64 + "\n", "-" * 64])
def test_rejects_bundle_digest_that_is_not_sha256(digest):
    with pytest.raises(ValidationError):
        ModelInfo.model_validate(prediction("id")["model"] | {"bundle_sha256": digest})


def test_problem_has_valid_correlation_id_or_null():
    values = {"title": "T", "status": 400, "detail": "D", "code": "c", "request_id": "id"}
    assert Problem.model_validate(values).correlation_id is None
    with pytest.raises(ValidationError):
        Problem.model_validate(values | {"correlation_id": "a b"})
