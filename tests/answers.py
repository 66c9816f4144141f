"""Answers for the tests of replays."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from pipeline.model_info import ModelInfo
from pipeline.schemas import (
    Detection,
    ImageInfo,
    Metrics,
    Prediction,
    PredictOptions,
    Quality,
    RleMask,
)
from tests.quality import statistics

CLASSES = ("LSIL", "HSIL")
SIDE = 100


def lesion(id_: int = 0, *, at: int = 10, score: float = 0.9, class_id: int = 1) -> Detection:
    """Return a lesion of 20x20 pixels, whose mask fills its box."""
    dense = np.zeros((SIDE, SIDE), np.uint8, order="F")
    dense[at : at + 20, at : at + 20] = 1
    return Detection(
        id=id_,
        class_id=class_id,
        label=CLASSES[class_id],
        score=score,
        box=(at, at, at + 20, at + 20),
        box_area=400,
        mask_area=400,
        mask=RleMask(size=(SIDE, SIDE), counts=coco.encode(dense)["counts"].decode("ascii")),
    )


def model(**changes: Any) -> ModelInfo:
    values = {
        "name": "demo",
        "version": "1",
        "sha256": "0" * 64,
        "bundle_sha256": "d" * 64,
        "engine": "openvino",
        "precision": "float32",
        "score_threshold": 0.5,
        "software": {"numpy": "2.4.0", "openvino": "2026.2.0"},
    }
    return ModelInfo.model_validate(values | changes)


def quality(*reasons: str, withheld: bool = False) -> Quality:
    return Quality(
        statistics=statistics(), gradable=not reasons, reasons=list(reasons), withheld=withheld
    )


def answer(
    lesions: Sequence[Detection] = (),
    *,
    info: ModelInfo | None = None,
    sha256: str | None = "a" * 64,
    **changes: Any,
) -> Prediction:
    values = {
        "request_id": "r-1",
        "correlation_id": None,
        "model": info or model(),
        "options": PredictOptions(visualization="none"),
        "image": ImageInfo(width=SIDE, height=SIDE, format="PNG", sha256=sha256),
        "detections": list(lesions),
        "below_threshold": 0,
        "metrics": Metrics.of(lesions, CLASSES),
        "visualization": None,
        "timings_ms": {},
    }
    return Prediction.model_validate(values | changes)
