from dataclasses import dataclass
from pathlib import Path

import torch

from pipeline.engines import openvino
from pipeline.engines.base import DeviceName, Engine, EngineName, Precision
from pipeline.engines.detectron2 import Detectron2Engine
from pipeline.engines.openvino import OpenVinoEngine
from pipeline.engines.portable.engine import PortableEngine
from pipeline.errors import EngineUnavailable, UnsupportedConfig


@dataclass(frozen=True)
class ModelFiles:
    """A Detectron2 YAML and checkpoint, and perhaps a folder of the same layers in int8."""

    config: Path
    weights: Path
    quantized: Path | None = None


def open_engine(
    files: ModelFiles,
    engine: EngineName = "auto",
    device: DeviceName = "auto",
    precision: Precision = "float32",
) -> Engine:
    """Opens a model in an engine that can honour it.

    'auto' takes OpenVINO on a CPU where it is installed, else the portable engine, and Detectron2
    for the models that these do not support. Raises ModelError.
    """
    chosen = pick_device(device)
    if engine == "detectron2":
        return _open_detectron2(files, chosen, precision)
    try:
        if engine == "openvino" or (
            engine == "auto" and chosen == "cpu" and openvino.is_installed()
        ):
            return OpenVinoEngine.open(
                files.config, files.weights, chosen, precision, files.quantized
            )
        return PortableEngine.open(files.config, files.weights, chosen, precision)
    except UnsupportedConfig as reason:
        if engine != "auto" or reason.other_engine != Detectron2Engine.name:
            raise
        try:
            return _open_detectron2(files, chosen, precision)
        except EngineUnavailable as absent:
            raise EngineUnavailable(f"{reason}; {absent}") from absent


def _open_detectron2(files: ModelFiles, device: str, precision: Precision) -> Engine:
    if precision != "float32":
        raise EngineUnavailable(f"the Detectron2 engine runs in float32, not in {precision}")
    return Detectron2Engine.open(files.config, files.weights, device)


def pick_device(device: DeviceName) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("device 'cuda' was asked for, but PyTorch sees no GPU here")
    return device
