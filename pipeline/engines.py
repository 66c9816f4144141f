from pathlib import Path

import torch

from pipeline.contract import DeviceName, Engine, EngineName
from pipeline.detectron2 import Detectron2Engine
from pipeline.engine.portable import PortableEngine
from pipeline.errors import EngineUnavailable, UnsupportedConfig


def open_engine(
    config: Path, weights: Path, engine: EngineName = "auto", device: DeviceName = "auto"
) -> Engine:
    """Opens a Detectron2 YAML and checkpoint in an engine that can honour it.

    'auto' takes the portable engine where it supports the configuration, else Detectron2.
    Raises ModelError.
    """
    chosen = pick_device(device)
    if engine == "detectron2":
        return Detectron2Engine.open(config, weights, chosen)
    try:
        return PortableEngine.open(config, weights, chosen)
    except UnsupportedConfig as reason:
        if engine == "portable":
            raise
        return _open_detectron2(config, weights, chosen, reason)


def _open_detectron2(config: Path, weights: Path, device: str, reason: UnsupportedConfig) -> Engine:
    try:
        return Detectron2Engine.open(config, weights, device)
    except EngineUnavailable as absent:
        raise EngineUnavailable(f"{reason}; {absent}") from absent


def pick_device(device: DeviceName) -> str:
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise EngineUnavailable("device 'cuda' was asked for, but PyTorch sees no GPU here")
    return device
