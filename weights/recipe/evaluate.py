"""Box and mask AP of predictions on a split written by dataset.py, whichever engine made them."""

import argparse
import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from weights.recipe.lesions import CLASS_NAMES


def read_predictions(path: Path) -> list[dict]:
    """The documents of a JSON-lines file, as `lesionserve predict --format json` prints them."""
    return [json.loads(line) for line in path.read_text().splitlines() if line.strip()]


def predict_with_detectron2(config: Path, weights: Path, images: list[Path]) -> Iterator[dict]:
    """The same documents, made by Detectron2's DefaultPredictor."""
    import cv2
    import torch
    from detectron2.config import get_cfg
    from detectron2.engine import DefaultPredictor

    cfg = get_cfg()
    cfg.merge_from_file(str(config))
    cfg.MODEL.WEIGHTS = str(weights)
    cfg.MODEL.DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
    predictor = DefaultPredictor(cfg)
    for path in images:
        yield to_document(predictor(cv2.imread(str(path)))["instances"].to("cpu"))


def to_document(instances) -> dict:
    """Detectron2 Instances with full-size masks -> a document of predictions."""
    from pycocotools import mask as coco_mask

    detections = []
    for i in range(len(instances)):
        mask = instances.pred_masks[i].numpy().astype(np.uint8)
        rle = coco_mask.encode(np.asfortranarray(mask))
        detections.append(
            {
                "class_id": int(instances.pred_classes[i]),
                "score": float(instances.scores[i]),
                "box": instances.pred_boxes.tensor[i].tolist(),
                "mask": {"format": "rle", "size": rle["size"], "counts": rle["counts"].decode()},
            }
        )
    height, width = instances.image_size
    return {"image": {"width": width, "height": height}, "detections": detections}


def to_results(image_id: int, document: dict) -> list[dict]:
    """One document -> COCO results: XYWH boxes, compressed RLE."""
    results = []
    for detection in document["detections"]:
        x1, y1, x2, y2 = detection["box"]
        mask = detection["mask"]
        results.append(
            {
                "image_id": image_id,
                "category_id": detection["class_id"],
                "score": detection["score"],
                "bbox": [x1, y1, x2 - x1, y2 - y1],
                "segmentation": {"size": mask["size"], "counts": mask["counts"]},
            }
        )
    return results


def average_precision(truth: COCO, results: list[dict], kind: str) -> dict[str, float]:
    """AP, AP50, AP75 and the AP of each class, 0 to 1; `kind` is "bbox" or "segm"."""
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(truth, truth.loadRes(results), kind)
        evaluation.evaluate()
        evaluation.accumulate()
    # IoU thresholds x recalls x classes, over all areas and with up to 100 detections an image.
    precision = evaluation.eval["precision"][:, :, :, 0, 2]
    figures = {
        "AP": precision.mean(),
        "AP50": precision[0].mean(),
        "AP75": precision[5].mean(),
    }
    for class_id, name in enumerate(CLASS_NAMES):
        figures[f"AP {name}"] = precision[:, :, class_id].mean()
    return {name: float(value) for name, value in figures.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder written by dataset.py")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--predictions", type=Path, help="JSON lines, one per image, by sorted file name"
    )
    source.add_argument("--detectron2", action="store_true", help="predict with Detectron2 itself")
    parser.add_argument("--config", type=Path, help="with --detectron2")
    parser.add_argument("--weights", type=Path, help="with --detectron2")
    args = parser.parse_args()

    truth = COCO(str(args.data / "annotations.json"))
    entries = sorted(truth.dataset["images"], key=lambda entry: entry["file_name"])
    if args.detectron2:
        if not (args.config and args.weights):
            parser.error("--detectron2 needs --config and --weights")
        images = [args.data / "images" / entry["file_name"] for entry in entries]
        documents = list(predict_with_detectron2(args.config, args.weights, images))
    else:
        documents = read_predictions(args.predictions)
    if len(documents) != len(entries):
        parser.error(f"{len(documents)} predictions for {len(entries)} images")

    results = []
    for entry, document in zip(entries, documents, strict=True):
        results += to_results(entry["id"], document)
    if not results:
        parser.error("the predictions hold no detection")
    figures = {kind: average_precision(truth, results, kind) for kind in ("bbox", "segm")}
    print(f"{'':14}{'box':>7}{'mask':>7}")
    for name in figures["bbox"]:
        print(f"{name:14}{figures['bbox'][name]:7.3f}{figures['segm'][name]:7.3f}")


if __name__ == "__main__":
    main()
