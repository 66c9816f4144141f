from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipeline.batches import predict_by_shape
from pipeline.contract import Instances, ModelInput, Precision
from pipeline.engine.build import build_model
from pipeline.engine.checkpoint import load_strictly, read_checkpoint
from pipeline.engine.config import read_config
from pipeline.engine.fusion import fused
from pipeline.engine.maskrcnn import MaskRCNN, layers_of
from pipeline.engine.roi_heads import Detections
from pipeline.errors import EngineUnavailable


class PortableEngine:
    """A Detectron2 Mask R-CNN in plain PyTorch. Use `open` to read one from files."""

    name = "portable"

    def __init__(self, model: MaskRCNN, device: str, precision: Precision = "float32") -> None:
        self.model = model
        self.device = torch.device(device)
        self.precision = precision
        self.num_classes = model.roi_heads.box_predictor.num_classes

    @classmethod
    def open(
        cls, config: Path, weights: Path, device: str = "cpu", precision: Precision = "float32"
    ) -> Self:
        """Raises EngineUnavailable, UnsupportedConfig, CheckpointMismatch or ModelError."""
        if precision == "int8":
            raise EngineUnavailable("precision 'int8' runs on a CPU, through OpenVINO")
        model = open_model(config, weights)
        if precision == "bfloat16":
            for layers in layers_of(model):
                # It tells near scores apart, and is small.
                if layers is not model.roi_heads.box_predictor:
                    layers.to(torch.bfloat16)
        return cls(model.to(device), device, precision)

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        return predict_by_shape(
            inputs, self.model.backbone.size_divisibility, self._predict_same_shape
        )

    @torch.inference_mode()
    def _predict_same_shape(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        return [to_instances(found) for found in self.model([self._to_tensor(i) for i in inputs])]

    def _to_tensor(self, one: ModelInput) -> Tensor:
        """(H, W, 3) uint8 on the device; arrays from a shared store may be read-only."""
        pixels = torch.from_numpy(np.array(one.pixels, copy=not one.pixels.flags.writeable))
        return pixels.to(self.device)


def open_model(config: Path, weights: Path) -> MaskRCNN:
    """Built, loaded and fused, on the CPU.

    Raises UnsupportedConfig, CheckpointMismatch or ModelError.
    """
    model = build_model(read_config(config))
    load_strictly(model, read_checkpoint(weights))
    return fused(model)


def to_instances(found: Detections) -> Instances:
    return Instances(
        boxes=found.boxes.cpu().numpy(),
        scores=found.scores.cpu().numpy(),
        classes=found.classes.cpu().numpy(),
        masks=None if found.masks is None else found.masks.cpu().numpy(),
    )
