from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.batches import predict_by_shape
from pipeline.config_file import load_config_file
from pipeline.contract import Instances, ModelInput, Precision
from pipeline.engine.checkpoint import load_strictly, read_checkpoint
from pipeline.errors import EngineUnavailable, UnsupportedConfig

# What yields upright boxes, scores, classes and at most one mask per box: no more fits `Instances`.
HONOURED: dict[str, tuple[object, ...]] = {
    "VERSION": (2,),
    "INPUT.FORMAT": ("BGR", "RGB"),
    "MODEL.META_ARCHITECTURE": ("GeneralizedRCNN", "RetinaNet"),
    "MODEL.KEYPOINT_ON": (False,),
    "MODEL.LOAD_PROPOSALS": (False,),
    "MODEL.PROPOSAL_GENERATOR.NAME": ("RPN",),
    "MODEL.ANCHOR_GENERATOR.NAME": ("DefaultAnchorGenerator",),
    "MODEL.ROI_HEADS.NAME": ("Res5ROIHeads", "StandardROIHeads", "CascadeROIHeads"),
    "TEST.AUG.ENABLED": (False,),
}


class Detectron2Engine:
    """Detectron2's own model, in float32. Use `open` to read one from files."""

    name = "detectron2"
    precision: Precision = "float32"

    def __init__(self, model: Any, num_classes: int) -> None:
        self.model = model
        self.num_classes = num_classes

    @classmethod
    def open(cls, config: Path, weights: Path, device: str) -> "Detectron2Engine":
        """Raises EngineUnavailable, UnsupportedConfig, CheckpointMismatch or ModelError."""
        cfg = read_config(config)
        cfg.MODEL.DEVICE = device
        resnets = cfg.MODEL.RESNETS
        if device == "cpu" and resnets.DEFORM_MODULATED and any(resnets.DEFORM_ON_PER_STAGE):
            raise UnsupportedConfig(
                "MODEL.RESNETS.DEFORM_MODULATED = True: Detectron2 runs it on a GPU alone"
            )
        model = build_model(cfg)
        load_strictly(model, read_checkpoint(weights))
        is_dense = cfg.MODEL.META_ARCHITECTURE == "RetinaNet"
        section = cfg.MODEL.RETINANET if is_dense else cfg.MODEL.ROI_HEADS
        return cls(model, section.NUM_CLASSES)

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        # A backbone that takes any size says 0.
        divisibility = max(1, self.model.backbone.size_divisibility)
        return predict_by_shape(inputs, divisibility, self._predict_same_shape)

    @torch.inference_mode()
    def _predict_same_shape(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        batch = [{"image": torch.tensor(one.pixels).permute(2, 0, 1)} for one in inputs]
        if hasattr(self.model, "roi_heads"):
            found = self.model.inference(batch, do_postprocess=False)
        else:
            # A dense detector has no masks to paste; without a wanted size, boxes keep theirs.
            found = [one["instances"] for one in self.model(batch)]
        return [to_instances(one) for one in found]


def read_config(path: Path) -> Any:
    """Detectron2's defaults with the file laid over them, as its CfgNode.

    Raises EngineUnavailable, or UnsupportedConfig, which names the key.
    """
    cfg = default_config()
    try:
        # Not merge_from_file: that one runs whatever Python the YAML asks for.
        cfg.merge_from_other_cfg(type(cfg)(load_config_file(path)))
    except (KeyError, ValueError, AssertionError) as error:
        raise UnsupportedConfig(f"Detectron2 refuses the configuration: {reason(error)}") from error
    for key, values in HONOURED.items():
        value = cfg
        for part in key.split("."):
            value = value[part]
        if value not in values:
            raise UnsupportedConfig(
                f"the Detectron2 engine cannot honour {key} = {value!r}, only "
                + ", ".join(repr(one) for one in values)
            )
    return cfg


def default_config() -> Any:
    try:
        from detectron2.config import get_cfg
    except ImportError as error:
        raise EngineUnavailable(
            f"Detectron2 cannot be imported ({error}). It is built from source against the "
            "installed PyTorch: pip install --no-build-isolation "
            "git+https://github.com/facebookresearch/detectron2.git"
        ) from error
    return get_cfg()


def build_model(cfg: Any) -> Any:
    """In inference mode, with fresh weights. Raises UnsupportedConfig where Detectron2 cannot."""
    from detectron2.modeling import build_model as build

    # Only training has this loss, and it looks for the training set.
    cfg.MODEL.ROI_BOX_HEAD.USE_FED_LOSS = False
    try:
        return build(cfg).eval()
    except (LookupError, ValueError, AssertionError) as error:
        raise UnsupportedConfig(f"Detectron2 cannot build the model: {reason(error)}") from error


def reason(error: Exception) -> str:
    """The first line; a KeyError's own text would come in quotes."""
    return str(error.args[0]).splitlines()[0] if error.args else type(error).__name__


def to_instances(found: Any) -> Instances:
    """found: Detectron2's Instances, with masks as (N, 1, M, M) probabilities."""
    return Instances(
        boxes=found.pred_boxes.tensor.cpu().numpy(),
        scores=found.scores.cpu().numpy(),
        classes=found.pred_classes.cpu().numpy(),
        masks=found.pred_masks[:, 0].cpu().numpy() if found.has("pred_masks") else None,
    )
