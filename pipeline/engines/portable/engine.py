from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch

from pipeline.engines.base import Precision
from pipeline.engines.batches import predict_by_shape
from pipeline.engines.files.checkpoint import load_strictly, open_checkpoint
from pipeline.engines.files.config_file import read_config_file
from pipeline.engines.fingerprint import fingerprint_of
from pipeline.engines.memory import translated_out_of_memory
from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config, remarks_on
from pipeline.engines.portable.execution import Execution, build_runner
from pipeline.engines.portable.fusion import fused
from pipeline.engines.portable.maskrcnn import MaskRCNN, layers_of
from pipeline.engines.tf32 import without_tf32
from pipeline.errors import EngineUnavailable
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances


class PortableEngine:
    """A Detectron2 Mask R-CNN in plain PyTorch. Use `open` to load it from files.

    execution: how the host makes the device run the model.
    """

    name = "portable"
    max_threads = 1

    def __init__(
        self,
        model: MaskRCNN,
        device: str,
        precision: Precision = "float32",
        remarks: tuple[str, ...] = (),
        execution: Execution = "eager",
    ) -> None:
        self.model = model.to(device)
        self.remarks = remarks
        self.execution = execution
        self.run = build_runner(self.model, execution)
        self.precision = precision
        self.num_classes = model.roi_heads.box_predictor.num_classes

    @classmethod
    def open(
        cls,
        config: Path,
        weights: Path,
        device: str = "cpu",
        precision: Precision = "float32",
        execution: Execution = "eager",
    ) -> Self:
        """Load a Detectron2 YAML and checkpoint.

        Raise EngineUnavailable, UnsupportedConfig, CheckpointMismatch or ModelError.
        """
        if precision == "int8":
            raise EngineUnavailable("precision 'int8' runs on a CPU, through OpenVINO")
        model, remarks = load_model(config, weights)
        if precision == "bfloat16":
            for layers in layers_of(model):
                # The box predictor stays in float32: scores differ by little, and it is small.
                if layers is not model.roi_heads.box_predictor:
                    layers.to(torch.bfloat16)
        return cls(model, device, precision, remarks, execution)

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        return predict_by_shape(
            inputs, self.model.backbone.size_divisibility, self._predict_same_shape
        )

    def fingerprint(self) -> str:
        return fingerprint_of(self.model)

    @translated_out_of_memory()
    @torch.inference_mode()
    @without_tf32()
    def _predict_same_shape(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        return self.run(inputs)


def open_model(config: Path, weights: Path) -> MaskRCNN:
    """Return the model of `load_model`, without the remarks."""
    return load_model(config, weights)[0]


def load_model(config: Path, weights: Path) -> tuple[MaskRCNN, tuple[str, ...]]:
    """Return the model on the CPU, loaded and fused, with remarks on its files.

    Raise UnsupportedConfig, CheckpointMismatch or ModelError.
    """
    file = read_config_file(config)
    model = build_model(parse_config(file.tree))
    checkpoint = open_checkpoint(weights)
    remarks = load_strictly(model, checkpoint.weights)
    return fused(model), file.remarks + remarks_on(file.tree) + checkpoint.remarks + remarks
