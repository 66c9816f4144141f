"""Answers for the viewer: with masks that are known, of any image."""

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pycocotools import mask as coco

from pipeline.schemas import Quality
from tests.integration.gateway.ingress import prediction
from tests.quality import statistics

CLASS_NAMES = ("LSIL", "HSIL", "carcinoma")


def encoded(pixels: NDArray[np.bool_]) -> dict[str, Any]:
    """Return the mask of a lesion in an answer; pixels: (H, W)."""
    rle = coco.encode(np.asfortranarray(pixels.astype(np.uint8)))
    return {"format": "rle", "size": list(pixels.shape), "counts": rle["counts"].decode()}


def disc(shape: tuple[int, int], x: float, y: float, radius: float) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.hypot(columns + 0.5 - x, rows + 0.5 - y) < radius


def lesion(pixels: NDArray[np.bool_], class_id: int = 0, score: float = 0.9) -> dict[str, Any]:
    rows, columns = np.flatnonzero(pixels.any(1)), np.flatnonzero(pixels.any(0))
    box = [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]
    return {
        "class_id": class_id,
        "label": CLASS_NAMES[class_id],
        "score": score,
        "box": box,
        "box_area": (box[2] - box[0]) * (box[3] - box[1]),
        "mask_area": int(pixels.sum()),
        "mask": encoded(pixels),
    }


def answer(
    image: bytes, lesions: Sequence[dict[str, Any]], threshold: float | None = None, **changes: Any
) -> dict[str, Any]:
    """Return an answer on this image; `lesions` by falling score."""
    made = prediction("00000000-0000-0000-0000-000000000001", image)
    labels = [each["label"] for each in lesions]
    made["detections"] = [each | {"id": index} for index, each in enumerate(lesions)]
    made["metrics"] = {
        "class_distribution": {name: labels.count(name) for name in CLASS_NAMES},
        "scores": [each["score"] for each in lesions],
        "box_areas": [each["box_area"] for each in lesions],
    }
    made["options"]["score_threshold"] = threshold
    return made | changes


def ungradable(withheld: bool) -> dict[str, Any]:
    quality = Quality(statistics=statistics(), gradable=False, reasons=["glare"], withheld=withheld)
    return quality.model_dump(mode="json")


def png(pixels: NDArray[np.uint8]) -> bytes:
    """Return the file of an image, (H, W, 3) RGB."""
    written = io.BytesIO()
    Image.fromarray(pixels).save(written, "PNG")
    return written.getvalue()


def grey(width: int, height: int) -> bytes:
    return png(np.full((height, width, 3), (190, 120, 120), dtype=np.uint8))
