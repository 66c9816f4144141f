"""The engines that need PyTorch."""

from pathlib import Path

import torch

from pipeline.engines.allocator import keep_freed_memory
from pipeline.engines.base import Engine, EngineName, Precision
from pipeline.engines.detectron2 import Detectron2Engine
from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.execution import Execution
from pipeline.errors import EngineUnavailable, UnsupportedConfig


def open_engine(
    config: Path,
    weights: Path,
    engine: EngineName,
    device: str,
    precision: Precision,
    threads: int | None,
) -> Engine:
    """Return the portable engine, or Detectron2 where it is chosen or alone supports the model.

    threads: of PyTorch in this process; None leaves them as they are. Raise ModelError.
    """
    if device == "cpu":
        keep_freed_memory()
    if threads is not None:
        # Ray sets OMP_NUM_THREADS=1 for a replica with less than one CPU.
        torch.set_num_threads(threads)
    if engine == Detectron2Engine.name:
        return _open_detectron2(config, weights, device, precision)
    try:
        execution: Execution = "frequent-graphs" if device == "cuda" else "eager"
        return PortableEngine.open(config, weights, device, precision, execution)
    except UnsupportedConfig as refusal:
        if engine != "auto" or refusal.other_engine != Detectron2Engine.name:
            raise
        try:
            return _open_detectron2(config, weights, device, precision)
        except EngineUnavailable as error:
            raise EngineUnavailable(f"{refusal}; {error}") from error


def _open_detectron2(config: Path, weights: Path, device: str, precision: Precision) -> Engine:
    if precision != "float32":
        raise EngineUnavailable(f"the Detectron2 engine runs in float32, not in {precision}")
    return Detectron2Engine.open(config, weights, device)
