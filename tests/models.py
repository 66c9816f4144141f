"""Small Mask R-CNNs for the tests: a Detectron2 YAML and a checkpoint with random weights."""

from pathlib import Path
from typing import Any

import torch
import yaml

from pipeline.engines.base import Precision
from pipeline.engines.openvino.convert import convert, taking_pixels
from pipeline.engines.openvino.engine import OpenVinoEngine
from pipeline.engines.openvino.graphs import write_graphs
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config
from pipeline.engines.portable.engine import open_model

SMALL: dict[str, Any] = {
    "VERSION": 2,
    "INPUT": {"MIN_SIZE_TEST": 64, "MAX_SIZE_TEST": 128},
    "MODEL": {
        "META_ARCHITECTURE": "GeneralizedRCNN",
        "MASK_ON": True,
        "BACKBONE": {"NAME": "build_resnet_fpn_backbone"},
        "RESNETS": {
            "OUT_FEATURES": ["res2", "res3", "res4", "res5"],
            "STEM_OUT_CHANNELS": 8,
            "RES2_OUT_CHANNELS": 16,
            "WIDTH_PER_GROUP": 4,
        },
        "FPN": {"IN_FEATURES": ["res2", "res3", "res4", "res5"], "OUT_CHANNELS": 16},
        "ANCHOR_GENERATOR": {"SIZES": [[8], [16], [32], [64], [128]]},
        "RPN": {
            "IN_FEATURES": ["p2", "p3", "p4", "p5", "p6"],
            "PRE_NMS_TOPK_TEST": 100,
            "POST_NMS_TOPK_TEST": 50,
        },
        "ROI_HEADS": {
            "NAME": "StandardROIHeads",
            "NUM_CLASSES": 2,
            "IN_FEATURES": ["p2", "p3", "p4", "p5"],
        },
        "ROI_BOX_HEAD": {
            "NAME": "FastRCNNConvFCHead",
            "NUM_FC": 1,
            "FC_DIM": 16,
            "POOLER_RESOLUTION": 7,
        },
        "ROI_MASK_HEAD": {"NUM_CONV": 1, "CONV_DIM": 16},
    },
    "TEST": {"DETECTIONS_PER_IMAGE": 10},
}


def tree(**changes: Any) -> dict[str, Any]:
    """Return SMALL with changed dotted keys, such as tree(**{"MODEL.FPN.NORM": "GN"})."""
    result: dict[str, Any] = yaml.safe_load(yaml.safe_dump(SMALL))
    for dotted, value in changes.items():
        *sections, key = dotted.split(".")
        section = result
        for name in sections:
            section = section.setdefault(name, {})
        section[key] = value
    return result


def weights(config: dict[str, Any], seed: int = 0) -> dict[str, torch.Tensor]:
    """Return random weights, whose class scores differ enough to give detections."""
    torch.manual_seed(seed)
    model = build_model(parse_config(config))
    torch.nn.init.normal_(model.roi_heads.box_predictor.cls_score.weight, std=2.0)
    return model.state_dict()


def write_model(folder: Path, **changes: Any) -> tuple[Path, Path]:
    """Write config.yaml and model.pth, and return their paths."""
    content = tree(**changes)
    config, checkpoint = folder / "config.yaml", folder / "model.pth"
    config.write_text(yaml.safe_dump(content))
    torch.save({"model": weights(content)}, checkpoint)
    return config, checkpoint


def write_graphs_of(config: Path, checkpoint: Path) -> Path:
    """Write the model's graphs beside its checkpoint, and return their folder."""
    folder = checkpoint.with_name("openvino")
    model = open_model(config, checkpoint)
    write_graphs(taking_pixels(convert(model), model), folder)
    return folder


def open_compiled(
    config: Path, checkpoint: Path, precision: Precision = "float32"
) -> OpenVinoEngine:
    """Return the model in the OpenVINO engine, on two threads."""
    folder = checkpoint.with_name("openvino")
    graphs = folder if folder.exists() else write_graphs_of(config, checkpoint)
    return OpenVinoEngine.open(config, graphs, precision, threads=2)
