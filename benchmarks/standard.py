"""Make the standard workload: an R50-FPN Mask R-CNN as in Detectron2's zoo, with 3 classes.

Its weights are random but calibrated, since nobody's trained ones may be shipped: batch norms have
the statistics of real activations, so that nothing vanishes or explodes on its way, and the score
threshold lets about ten instances through, as many as a busy image of the cervix holds. The work is
that of a trained model: as many proposals, instances and masks, all of the same sizes.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from torch import nn

from pipeline.bundle.packing import Source, pack
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config, read_resize
from pipeline.engines.portable.layers import BatchNorm2d
from pipeline.engines.portable.maskrcnn import MaskRCNN
from weights.recipe.colposcopy import generate

CLASS_NAMES = ("LSIL", "HSIL", "carcinoma")
WANTED_INSTANCES = 10
SEED = 20261125

# What mask_rcnn_R_50_FPN_3x.yaml and its base set, for three classes.
CONFIG: dict[str, Any] = {
    "VERSION": 2,
    "INPUT": {"MIN_SIZE_TEST": 800, "MAX_SIZE_TEST": 1333},
    "MODEL": {
        "META_ARCHITECTURE": "GeneralizedRCNN",
        "MASK_ON": True,
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
        "RESNETS": {"DEPTH": 50, "OUT_FEATURES": ["res2", "res3", "res4", "res5"]},
        "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"]},
        "ANCHOR_GENERATOR": {
            "SIZES": [[32], [64], [128], [256], [512]],
            "ASPECT_RATIOS": [[0.5, 1.0, 2.0]],
        },
        "RPN": {
            "IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
            "PRE_NMS_TOPK_TEST": 1000,
            "POST_NMS_TOPK_TEST": 1000,
        },
        "ROI_HEADS": {
            "NAME": "StandardROIHeads",
            "IN_FEATURES": ["p2", "p3", "p4", "p5"],
            "NUM_CLASSES": len(CLASS_NAMES),
        },
        "ROI_BOX_HEAD": {"NAME": "FastRCNNConvFCHead", "NUM_FC": 2, "POOLER_RESOLUTION": 7},
        "ROI_MASK_HEAD": {
            "NAME": "MaskRCNNConvUpsampleHead",
            "NUM_CONV": 4,
            "POOLER_RESOLUTION": 14,
        },
    },
}


def standard_bundle(folder: Path, *, int8: bool = True) -> Path:
    """Return the packed bundle, made on the first call; on one machine always the same bytes.

    int8: with quantized layers, for which OpenVINO and NNCF are needed.
    """
    bundle = folder / ("r50_fpn" if int8 else "r50_fpn_float32")
    if bundle.exists():
        return bundle
    folder.mkdir(parents=True, exist_ok=True)
    print("benchmarks: making the standard R50-FPN bundle", file=sys.stderr)
    images = [scene(seed) for seed in (1, 2)]
    golden = [folder / f"scene{i}.jpg" for i in range(len(images))]
    for path, image in zip(golden, images, strict=True):
        path.write_bytes(jpeg(image))
    tree, model = calibrated(images)
    config, weights = folder / "config.yaml", folder / "model_final.pth"
    config.write_text(yaml.safe_dump(tree))
    torch.save(model.state_dict(), weights)
    pack(
        Source(
            weights=weights,
            config=config,
            class_names=CLASS_NAMES,
            name="r50-fpn",
            version="benchmark",
            golden=golden[:1],
            int8=int8,
        ),
        bundle,
    )
    return bundle


def scene(seed: int, width: int = 1280, height: int = 960) -> NDArray[np.uint8]:
    """Return a synthetic image of the demo's kind, (H, W, 3) uint8 BGR."""
    image: NDArray[np.uint8] = generate(seed, width, height).image
    return image


def jpeg(image: NDArray[np.uint8]) -> bytes:
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


@torch.inference_mode()
def calibrated(images: Sequence[NDArray[np.uint8]]) -> tuple[dict[str, Any], MaskRCNN]:
    """Return the configuration with its score threshold, and the model."""
    tree: dict[str, Any] = yaml.safe_load(yaml.safe_dump(CONFIG))
    tree["MODEL"]["ROI_HEADS"]["SCORE_THRESH_TEST"] = 0.0
    torch.manual_seed(SEED)
    model = build_model(parse_config(tree))
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
    resize = read_resize(tree)
    inputs = [torch.tensor(resize(image).pixels) for image in images]
    _set_statistics(model, inputs)
    # Heads as a trained model's: deltas of a fraction of a box, logits of a few units.
    for layer, spread in (
        (model.proposal_generator.rpn_head.anchor_deltas, 0.1),
        (model.proposal_generator.rpn_head.objectness_logits, 2.0),
        (model.roi_heads.box_predictor.bbox_pred, 0.5),
        (model.roi_heads.box_predictor.cls_score, 2.0),
    ):
        _set_spread(model, layer, spread, inputs[:1])
    scores = (
        torch.cat([instances.scores for instances in model(inputs)]).sort(descending=True).values
    )
    threshold = float(scores[WANTED_INSTANCES * len(images)])
    tree["MODEL"]["ROI_HEADS"]["SCORE_THRESH_TEST"] = round(threshold, 4)
    return tree, model


def _set_statistics(model: MaskRCNN, inputs: Sequence[torch.Tensor]) -> None:
    """Give every batch norm the mean and variance of what arrives there."""

    def observe(norm: nn.Module, arguments: tuple[torch.Tensor, ...]) -> None:
        assert isinstance(norm, BatchNorm2d)
        norm.running_var, norm.running_mean = torch.var_mean(arguments[0], dim=(0, 2, 3))

    hooks = [
        module.register_forward_pre_hook(observe)
        for module in model.modules()
        if isinstance(module, BatchNorm2d)
    ]
    model.backbone(model.batch(inputs))
    for hook in hooks:
        hook.remove()


def _set_spread(
    model: MaskRCNN, layer: nn.Module, spread: float, inputs: Sequence[torch.Tensor]
) -> None:
    """Scale the layer's weights so that its output spreads this far."""
    outputs: list[torch.Tensor] = []
    hook = layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    model(inputs)
    hook.remove()
    largest = max(outputs, key=torch.Tensor.numel)
    layer.weight *= spread / largest.std()
