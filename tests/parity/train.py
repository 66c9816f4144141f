"""Train the checkpoint of a parity case with Detectron2, for a few minutes on a CPU.

    python -m tests.parity.train CASE STEPS [--half]

The images are generated: ellipses, quadrilaterals and triangles (a single class in a model of one
class) on noise, as in `images/`.
"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.structures import BitMasks, Boxes
from detectron2.structures import Instances as Annotated
from detectron2.utils.events import EventStorage

CASES = Path(__file__).parent / "cases"
SIZE = 128
BATCH = 3
SETTLING_STEPS = 50


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("case")
    parser.add_argument("steps", type=int)
    parser.add_argument("--half", action="store_true", help="store the weights in float16")
    options = parser.parse_args()
    torch.manual_seed(0)
    model = train(training_config(CASES / options.case), options.steps)
    state = {
        key: value.half() if options.half and value.is_floating_point() else value
        for key, value in model.state_dict().items()
    }
    torch.save({"model": state, "iteration": options.steps}, CASES / options.case / "model.pth")


def training_config(case: Path) -> Any:
    cfg = get_cfg()
    cfg.merge_from_file(str(case / "config.yaml"))
    cfg.MODEL.DEVICE = "cpu"
    cfg.MODEL.BACKBONE.FREEZE_AT = 0
    cfg.MODEL.RPN.PRE_NMS_TOPK_TRAIN = 500
    cfg.MODEL.RPN.POST_NMS_TOPK_TRAIN = 200
    cfg.MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE = 64
    # Frozen and synchronized norms have weights of the same names as plain ones, which a CPU can
    # train.
    for section in (cfg.MODEL.RESNETS, cfg.MODEL.FPN, cfg.MODEL.ROI_BOX_HEAD):
        section.NORM = section.NORM.replace("FrozenBN", "BN").replace("SyncBN", "BN")
    return cfg


def train(cfg: Any, steps: int) -> torch.nn.Module:
    model = build_model(cfg).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    random = np.random.default_rng(0)
    with EventStorage():
        for step in range(steps):
            losses = model([example(random, cfg) for _ in range(BATCH)])
            loss = sum(losses.values())
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            if step % 50 == 0:
                print(step, {key: round(float(value), 3) for key, value in losses.items()})
        settle_norms(model, random, cfg)
    return model


@torch.no_grad()
def settle_norms(model: torch.nn.Module, random: np.random.Generator, cfg: Any) -> None:
    """Average the statistics of batch norms anew, which lag behind in such a short training."""
    for layer in model.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.reset_running_stats()
            layer.momentum = None
    for _ in range(SETTLING_STEPS):
        model([example(random, cfg) for _ in range(BATCH)])


def example(random: np.random.Generator, cfg: Any) -> dict[str, Any]:
    pixels = cv2.GaussianBlur(random.normal(100, 120, (SIZE, SIZE, 3)), (0, 0), 2.5)
    masks, classes = [], []
    for _ in range(random.integers(1, 5)):
        kind = int(random.integers(3))
        mask = draw(kind, random)
        pixels[mask] = random.uniform(0, 255, 3)
        masks = [other & ~mask for other in masks] + [mask]
        classes.append(kind % cfg.MODEL.ROI_HEADS.NUM_CLASSES)
    pixels += random.normal(0, 6, pixels.shape)
    channels = slice(None, None, -1 if cfg.INPUT.FORMAT == "RGB" else 1)
    image = np.ascontiguousarray(pixels.clip(0, 255)[:, :, channels].transpose(2, 0, 1))
    return {"image": torch.from_numpy(image).float(), "instances": annotate(masks, classes, cfg)}


def draw(kind: int, random: np.random.Generator) -> np.ndarray:
    """Return a (SIZE, SIZE) bool mask: an ellipse (0), a quadrilateral (1) or a triangle (2)."""
    canvas = np.zeros((SIZE, SIZE), np.uint8)
    center, axes = random.uniform(20, SIZE - 20, 2), random.uniform(8, 28, 2)
    angle = random.uniform(0, 360)
    if kind == 0:
        cv2.ellipse(canvas, (tuple(center), tuple(2 * axes), angle), 1, -1)
    else:
        corners = np.arange(4 if kind == 1 else 3) * (90 if kind == 1 else 120) + 45
        turns = np.deg2rad(angle + corners)
        points = center + axes.max() * np.stack((np.cos(turns), np.sin(turns)), axis=1)
        cv2.fillPoly(canvas, [points.round().astype(np.int32)], 1)
    return canvas.astype(bool)


def annotate(masks: list[np.ndarray], classes: list[int], cfg: Any) -> Annotated:
    visible = [i for i, mask in enumerate(masks) if mask.sum() > 50]
    bits = BitMasks(torch.from_numpy(np.stack(masks)[visible]))
    annotated = Annotated((SIZE, SIZE))
    annotated.gt_boxes = Boxes(bits.get_bounding_boxes().tensor)
    annotated.gt_classes = torch.tensor([classes[i] for i in visible])
    if cfg.MODEL.MASK_ON:
        annotated.gt_masks = bits
    return annotated


if __name__ == "__main__":
    main()
