"""The usual deployment document's inference service: FastAPI around DefaultPredictor.

It runs in an environment with Detectron2 and imports nothing of this repository.
"""

import base64
import os
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import get_cfg
from detectron2.data import MetadataCatalog
from detectron2.engine import DefaultPredictor
from detectron2.utils.visualizer import Visualizer
from fastapi import FastAPI, UploadFile
from pycocotools import mask as coco

CLASS_NAMES = os.environ["BENCHMARK_CLASSES"].split(",")

app = FastAPI()


def open_predictor() -> DefaultPredictor:
    torch.set_num_threads(int(os.environ["BENCHMARK_THREADS"]))
    bundle = Path(os.environ["BENCHMARK_BUNDLE"])
    cfg = get_cfg()
    cfg.merge_from_file(str(bundle / "mask_rcnn_config.yaml"))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.WEIGHTS = str(bundle / "model.pth")
    return DefaultPredictor(cfg)


predictor = open_predictor()
metadata = MetadataCatalog.get("lesions").set(thing_classes=CLASS_NAMES)


@app.get("/healthz")
def healthz() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/predict")
async def predict(file: UploadFile) -> dict[str, Any]:
    image = cv2.imdecode(np.frombuffer(await file.read(), np.uint8), cv2.IMREAD_COLOR)
    instances = predictor(image)["instances"].to("cpu")
    boxes = instances.pred_boxes.tensor.tolist()
    box_areas = instances.pred_boxes.area().tolist()
    scores = instances.scores.tolist()
    classes = instances.pred_classes.tolist()
    masks = instances.pred_masks.numpy()
    detections = [
        {
            "id": i,
            "class_id": classes[i],
            "label": CLASS_NAMES[classes[i]],
            "score": scores[i],
            "box": boxes[i],
            "box_area": box_areas[i],
            "mask_area": int(masks[i].sum()),
            "mask": _rle(masks[i]),
        }
        for i in range(len(instances))
    ]
    visualizer = Visualizer(image[:, :, ::-1], metadata)
    drawn = visualizer.draw_instance_predictions(instances).get_image()[:, :, ::-1]
    return {
        "image": {"width": image.shape[1], "height": image.shape[0]},
        "detections": detections,
        "metrics": {
            "class_distribution": {name: classes.count(i) for i, name in enumerate(CLASS_NAMES)},
            "scores": scores,
            "box_areas": box_areas,
        },
        "visualization": base64.b64encode(cv2.imencode(".jpg", drawn)[1]).decode(),
    }


def _rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco.encode(np.asfortranarray(mask))
    return {"format": "rle", "size": encoded["size"], "counts": encoded["counts"].decode()}
