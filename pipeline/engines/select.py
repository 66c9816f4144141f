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
    """The files of a model: a Detectron2 YAML, a checkpoint, and perhaps its layers in int8.

    `quantized` is the folder of the int8 layers.
    """

    config: Path
    weights: Path
    quantized: Path | None = None


def open_engine(
    files: ModelFiles,
    engine: EngineName = "auto",
    device: DeviceName = "auto",
    precision: Precision = "float32",
) -> Engine:
    """Return the model in an engine that supports its configuration.

    'auto' chooses OpenVINO on a CPU where it is installed, else the portable engine, and Detectron2
    for models that these two do not support. Raise ModelError.
    """
    device_name = pick_device(device)
    if engine == "detectron2":
        return _open_detectron2(files, device_name, precision)
    try:
        if engine == "openvino" or (
            engine == "auto" and device_name == "cpu" and openvino.is_installed()
        ):
            return OpenVinoEngine.open(
                files.config, files.weights, device_name, precision, files.quantized
            )
        return PortableEngine.open(files.config, files.weights, device_name, precision)
    except UnsupportedConfig as refusal:
        if engine != "auto" or refusal.other_engine != Detectron2Engine.name:
            raise
        try:
            return _open_detectron2(files, device_name, precision)
        except EngineUnavailable as error:
            raise EngineUnavailable(f"{refusal}; {error}") from error


def _open_detectron2(files: ModelFiles, device: str, precision: Precision) -> Engine:
    if precision != "float32":
        raise EngineUnavailable(f"the Detectron2 engine runs in float32, not in {precision}")
    return Detectron2Engine.open(files.config, files.weights, device)


def pick_device(device: DeviceName) -> str:
    """Return 'cpu' or 'cuda'. Raise EngineUnavailable for 'cuda' on a host without a GPU."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable(
            "device 'cuda' was requested, but PyTorch finds no GPU on this machine; choose 'cpu'"
        )
    return device
