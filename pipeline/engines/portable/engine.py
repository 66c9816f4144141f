from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor

from pipeline.engines.base import Precision
from pipeline.engines.batches import predict_by_shape
from pipeline.engines.files.checkpoint import load_strictly, open_checkpoint
from pipeline.engines.files.config_file import read_config_file
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config, remarks_on
from pipeline.engines.portable.fusion import fused
from pipeline.engines.portable.maskrcnn import MaskRCNN, layers_of
from pipeline.engines.portable.roi_heads import Detections
from pipeline.errors import EngineUnavailable
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances


class PortableEngine:
    """A Detectron2 Mask R-CNN in plain PyTorch. Use `open` to read one from files."""

    name = "portable"

    def __init__(
        self,
        model: MaskRCNN,
        device: str,
        precision: Precision = "float32",
        remarks: tuple[str, ...] = (),
    ) -> None:
        self.model = model
        self.remarks = remarks
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
        model, remarks = load_model(config, weights)
        if precision == "bfloat16":
            for layers in layers_of(model):
                # It tells near scores apart, and is small.
                if layers is not model.roi_heads.box_predictor:
                    layers.to(torch.bfloat16)
        return cls(model.to(device), device, precision, remarks)

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
    """Return the model of `load_model`."""
    return load_model(config, weights)[0]


def load_model(config: Path, weights: Path) -> tuple[MaskRCNN, tuple[str, ...]]:
    """Return a model that is built, loaded and fused, on the CPU, with remarks on its files.

    Raises UnsupportedConfig, CheckpointMismatch or ModelError.
    """
    file = read_config_file(config)
    model = build_model(parse_config(file.tree))
    checkpoint = open_checkpoint(weights)
    remarks = load_strictly(model, checkpoint.weights)
    return fused(model), file.remarks + remarks_on(file.tree) + checkpoint.remarks + remarks


def to_instances(found: Detections) -> Instances:
    return Instances(
        boxes=found.boxes.cpu().numpy(),
        scores=found.scores.cpu().numpy(),
        classes=found.classes.cpu().numpy(),
        masks=None if found.masks is None else found.masks.cpu().numpy(),
    )
