"""Annotated images of a small model: what it finds in them in float32 is taken for the truth."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

from pipeline.bundle.annotated_images import MIN_IMAGES, Evaluation
from pipeline.bundle.bundle import Bundle
from pipeline.schemas import PredictOptions

WIDTH, HEIGHT = 100, 80


def write_annotated(folder: Path, bundle: Bundle, max_loss: float) -> Evaluation:
    """Write images and their COCO file into the folder; the model's own answers annotate them."""
    (folder / "images").mkdir(parents=True)
    predictor = bundle.predictor(bundle.load_engine("auto", "cpu"))
    annotations = []
    for number in range(MIN_IMAGES):
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        path = folder / "images" / f"{number}.png"
        Image.fromarray(pixels).save(path)
        answer = predictor(path.read_bytes(), PredictOptions(visualization="none"))
        for detection in answer.detections:
            x1, y1, x2, y2 = detection.box
            assert detection.mask is not None
            annotations.append(
                {
                    "image_id": number,
                    "category_id": detection.class_id,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "segmentation": detection.mask.model_dump(exclude={"format"}),
                }
            )
    document = {
        "images": [
            {"id": i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT}
            for i in range(MIN_IMAGES)
        ],
        "annotations": annotations,
        "categories": [{"id": i, "name": name} for i, name in enumerate(bundle.class_names)],
    }
    path = folder / "annotations.json"
    path.write_text(json.dumps(document))
    return Evaluation(path, folder / "images", max_loss)
