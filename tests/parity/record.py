"""Record Detectron2's results of parity cases. Needs Detectron2.

    python -m tests.parity.record CASE...

It stops at a case whose results depend on the last bits of the arithmetic, since these differ
between processors.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import detectron2
import numpy as np
import torch
from detectron2.config import get_cfg
from detectron2.data.detection_utils import read_image
from detectron2.engine import DefaultPredictor
from pycocotools import mask as coco

from tests.parity.case import BOX_TOLERANCE, CASES, IMAGES, MIN_MASK_IOU, SCORE_TOLERANCE, Case

Answers = dict[str, dict[str, Any]]

NOISE = 1e-6  # relative change of every weight
TRIALS = 3


def main() -> None:
    for case in CASES:
        if case.folder.name in sys.argv[1:]:
            record(case)


def record(case: Case) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        cfg = get_cfg()
        cfg.merge_from_file(str(case.config))
        cfg.MODEL.DEVICE = "cpu"
        cfg.MODEL.WEIGHTS = str(case.weights(Path(scratch)))
        predictor = DefaultPredictor(cfg)
    results = answers(predictor)
    weights = {key: value.clone() for key, value in predictor.model.state_dict().items()}
    for trial in range(TRIALS):
        predictor.model.load_state_dict(disturb(weights, trial))
        for name, disturbed in answers(predictor).items():
            if not same(results[name], disturbed):
                sys.exit(
                    f"{case.folder.name}: {name} depends on the last bits; change its thresholds"
                )
    content = {
        "detectron2": detectron2.__version__,
        "torch": torch.__version__,
        "results": results,
    }
    (case.folder / "expected.json").write_text(json.dumps(content) + "\n")
    print(case.folder.name, {name: len(result["scores"]) for name, result in results.items()})


def answers(predictor: DefaultPredictor) -> Answers:
    return {
        f"images/{path.name}": to_json(predictor(read_image(str(path), "BGR"))["instances"])
        for path in IMAGES
    }


def to_json(instances: Any) -> dict[str, Any]:
    height, width = instances.image_size
    masks = None
    if instances.has("pred_masks"):
        masks = [coco.encode(np.asfortranarray(mask.numpy())) for mask in instances.pred_masks]
        masks = [{"size": m["size"], "counts": m["counts"].decode("ascii")} for m in masks]
    return {
        "height": height,
        "width": width,
        "boxes": instances.pred_boxes.tensor.tolist(),
        "scores": instances.scores.tolist(),
        "classes": instances.pred_classes.tolist(),
        "masks": masks,
    }


def disturb(weights: dict[str, torch.Tensor], seed: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        key: value * (1 + NOISE * torch.randn(value.shape, generator=generator))
        if value.is_floating_point()
        else value
        for key, value in weights.items()
    }


def same(left: dict[str, Any], right: dict[str, Any]) -> bool:
    if left["classes"] != right["classes"]:
        return False
    pairs = zip(left["masks"] or (), right["masks"] or (), strict=True)
    return (
        np.allclose(left["boxes"], right["boxes"], rtol=0, atol=BOX_TOLERANCE / 2)
        and np.allclose(left["scores"], right["scores"], rtol=0, atol=SCORE_TOLERANCE / 2)
        and all(
            coco.iou([a], [b], [0])[0][0] > (1 + MIN_MASK_IOU) / 2
            for a, b in pairs
            if coco.area(a) or coco.area(b)
        )
    )


if __name__ == "__main__":
    main()
