from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from pipeline.engines.base import Precision
from pipeline.engines.batches import predict_by_shape
from pipeline.engines.files.checkpoint import load_strictly, open_checkpoint
from pipeline.engines.files.config_file import read_config_file
from pipeline.engines.files.unread import TRAINING, without
from pipeline.engines.portable.config import remarks_on, require_detectron2_runs, trainers_own
from pipeline.errors import EngineUnavailable, UnsupportedConfig
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances


class Detectron2Engine:
    """Detectron2's own model, in float32. Use `open` to read one from files.

    It runs what yields upright boxes, scores, classes and at most one mask per box, since no more
    fits `Instances`: `require_detectron2_runs` says which configurations those are.
    """

    name = "detectron2"
    precision: Precision = "float32"

    def __init__(self, model: Any, num_classes: int, remarks: tuple[str, ...] = ()) -> None:
        self.model = model
        self.num_classes = num_classes
        self.remarks = remarks

    @classmethod
    def open(cls, config: Path, weights: Path, device: str) -> "Detectron2Engine":
        """Raises EngineUnavailable, UnsupportedConfig, CheckpointMismatch or ModelError."""
        file = read_config_file(config)
        cfg = to_cfg(file.tree)
        cfg.MODEL.DEVICE = device
        resnets = cfg.MODEL.RESNETS
        if device == "cpu" and resnets.DEFORM_MODULATED and any(resnets.DEFORM_ON_PER_STAGE):
            raise UnsupportedConfig(
                "MODEL.RESNETS.DEFORM_MODULATED = True: Detectron2 runs it on a GPU alone"
            )
        model = build_model(cfg)
        checkpoint = open_checkpoint(weights)
        remarks = load_strictly(model, checkpoint.weights)
        is_dense = cfg.MODEL.META_ARCHITECTURE == "RetinaNet"
        section = cfg.MODEL.RETINANET if is_dense else cfg.MODEL.ROI_HEADS
        remarks = file.remarks + remarks_on(file.tree) + checkpoint.remarks + remarks
        return cls(model, section.NUM_CLASSES, remarks)

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


def to_cfg(tree: Mapping[str, Any]) -> Any:
    """Return Detectron2's defaults with the tree laid over them, as its CfgNode.

    What only the training reads is left out, since trainers add keys of their own there.
    Raises UnsupportedConfig, which names the key, or EngineUnavailable.
    """
    require_detectron2_runs(tree)
    cfg = default_config()
    own = trainers_own(tree)
    read = {key: value for key, value in without(TRAINING, tree).items() if key not in own}
    try:
        # Not merge_from_file: that one runs whatever Python the YAML asks for.
        cfg.merge_from_other_cfg(type(cfg)(read))
    except (KeyError, ValueError, AssertionError) as error:
        raise UnsupportedConfig(f"Detectron2 refuses the configuration: {reason(error)}") from error
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
