from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipeline.engines.base import Precision
from pipeline.engines.batches import predict_by_shape
from pipeline.engines.files.checkpoint import load_strictly, open_checkpoint
from pipeline.engines.files.config_file import read_config_file
from pipeline.engines.files.unread import TRAINING, without
from pipeline.engines.fingerprint import fingerprint_of
from pipeline.engines.memory import translated_out_of_memory
from pipeline.engines.portable.config import (
    remarks_on,
    require_detectron2_runs,
    trainer_sections,
)
from pipeline.engines.portable.embedding import embed
from pipeline.engines.tf32 import without_tf32
from pipeline.errors import EngineUnavailable, UnsupportedConfig
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances


class Detectron2Engine:
    """Detectron2's own model, in float32. Use `open` to load it from files.

    It runs models that return upright boxes, scores, classes and at most one mask per box, which is
    all that `Instances` can hold. `require_detectron2_runs` checks a configuration for that.
    coarsest: the name of the feature map of which embeddings are the mean; None without a pyramid.
    """

    name = "detectron2"
    max_threads = 1
    precision: Precision = "float32"

    def __init__(
        self,
        model: Any,
        num_classes: int,
        remarks: tuple[str, ...] = (),
        coarsest: str | None = None,
    ) -> None:
        self.model = model
        self.num_classes = num_classes
        self.remarks = remarks
        self.coarsest = coarsest

    @classmethod
    def open(cls, config: Path, weights: Path, device: str) -> "Detectron2Engine":
        """Load a Detectron2 YAML and checkpoint.

        Raise EngineUnavailable, UnsupportedConfig, CheckpointMismatch or ModelError.
        """
        file = read_config_file(config)
        cfg = to_cfg(file.tree)
        cfg.MODEL.DEVICE = device
        resnets = cfg.MODEL.RESNETS
        if device == "cpu" and resnets.DEFORM_MODULATED and any(resnets.DEFORM_ON_PER_STAGE):
            raise UnsupportedConfig(
                "MODEL.RESNETS.DEFORM_MODULATED = True: Detectron2 runs it only on a GPU"
            )
        model = build_model(cfg)
        checkpoint = open_checkpoint(weights)
        remarks = load_strictly(model, checkpoint.weights)
        is_dense = cfg.MODEL.META_ARCHITECTURE == "RetinaNet"
        section = cfg.MODEL.RETINANET if is_dense else cfg.MODEL.ROI_HEADS
        remarks = file.remarks + remarks_on(file.tree) + checkpoint.remarks + remarks
        coarsest = section.IN_FEATURES[-1] if has_pyramid(model) else None
        return cls(model, section.NUM_CLASSES, remarks, coarsest)

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        # The divisibility of a backbone that takes any size is 0.
        divisibility = max(1, self.model.backbone.size_divisibility)
        return predict_by_shape(inputs, divisibility, self._predict_same_shape)

    def fingerprint(self) -> str:
        return fingerprint_of(self.model)

    @translated_out_of_memory()
    @torch.inference_mode()
    @without_tf32()
    def _predict_same_shape(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        batch = [{"image": torch.tensor(item.pixels).permute(2, 0, 1)} for item in inputs]
        with outputs_of(self.model.backbone) as outputs:
            if hasattr(self.model, "roi_heads"):
                results = self.model.inference(batch, do_postprocess=False)
            else:
                # A dense detector has no masks to paste. Without an output size in the batch, its
                # boxes stay in pixels of the model input.
                results = [output["instances"] for output in self.model(batch)]
        (features,) = outputs
        embeddings = self._embeddings(features, inputs)
        return [to_instances(*pair) for pair in zip(results, embeddings, strict=True)]

    def _embeddings(
        self, features: Mapping[str, torch.Tensor], inputs: Sequence[ModelInput]
    ) -> Sequence[NDArray[np.float32] | None]:
        if self.coarsest is None:
            return [None] * len(inputs)
        feature = features[self.coarsest]
        sizes = torch.tensor([item.pixels.shape[:2] for item in inputs], device=feature.device)
        stride = self.model.backbone.output_shape()[self.coarsest].stride
        return list(embed(feature, sizes, stride).cpu().numpy())


def to_cfg(tree: Mapping[str, Any]) -> Any:
    """Return the configuration as Detectron2's CfgNode, with its defaults for missing keys.

    Keys that only the training reads are left out, since trainers add keys of their own there.
    Raise UnsupportedConfig, which names the key, or EngineUnavailable.
    """
    require_detectron2_runs(tree)
    cfg = default_config()
    extra_keys = trainer_sections(tree)
    sections = without(TRAINING, tree)
    relevant_tree = {key: value for key, value in sections.items() if key not in extra_keys}
    try:
        # merge_from_file would run any Python that the YAML names.
        cfg.merge_from_other_cfg(type(cfg)(relevant_tree))
    except (KeyError, ValueError, AssertionError) as error:
        raise UnsupportedConfig(f"Detectron2 refuses the configuration: {reason(error)}") from error
    return cfg


def default_config() -> Any:
    """Return Detectron2's default CfgNode. Raise EngineUnavailable where it is not installed."""
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
    """Return Detectron2's model with fresh weights, in inference mode.

    Raise UnsupportedConfig where Detectron2 cannot build it.
    """
    from detectron2.modeling import build_model as build

    # Only the training uses this loss, which would look up the training set.
    cfg.MODEL.ROI_BOX_HEAD.USE_FED_LOSS = False
    try:
        return build(cfg).eval()
    except (LookupError, ValueError, AssertionError) as error:
        raise UnsupportedConfig(f"Detectron2 cannot build the model: {reason(error)}") from error


def has_pyramid(model: Any) -> bool:
    from detectron2.modeling.backbone.fpn import FPN

    return isinstance(model.backbone, FPN)


@contextmanager
def outputs_of(module: torch.nn.Module) -> Iterator[list[Any]]:
    """Yield a list to which each output of the module in the context is added."""
    outputs: list[Any] = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: outputs.append(output))
    try:
        yield outputs
    finally:
        hook.remove()


def reason(error: Exception) -> str:
    """Return the first line of the error's argument, which `str` would quote for a KeyError."""
    return str(error.args[0]).splitlines()[0] if error.args else type(error).__name__


def to_instances(result: Any, embedding: NDArray[np.float32] | None) -> Instances:
    """Return our Instances for Detectron2's, whose masks are (N, 1, M, M) probabilities."""
    return Instances(
        boxes=result.pred_boxes.tensor.cpu().numpy(),
        scores=result.scores.cpu().numpy(),
        classes=result.pred_classes.cpu().numpy(),
        masks=result.pred_masks[:, 0].cpu().numpy() if result.has("pred_masks") else None,
        embedding=embedding,
    )
