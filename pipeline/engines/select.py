import ctypes
from dataclasses import dataclass
from pathlib import Path

from pipeline.engines.base import DeviceName, Engine, EngineName, Precision
from pipeline.engines.openvino.engine import OpenVinoEngine
from pipeline.engines.openvino.runtime import ALL_CORES, is_installed, require_openvino
from pipeline.errors import EngineUnavailable


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model: a Detectron2 YAML, a checkpoint, and perhaps OpenVINO's graphs.

    graphs: the folder of the graphs in float32. quantized: that of the graphs in int8.
    """

    config: Path
    weights: Path
    graphs: Path | None = None
    quantized: Path | None = None

    def graphs_for(self, precision: Precision) -> Path | None:
        """Return the folder of the graphs for a precision; None where there is none."""
        folder = self.quantized if precision == "int8" else self.graphs
        return folder if folder is not None and folder.is_dir() else None


def open_engine(
    files: ModelFiles,
    engine: EngineName = "auto",
    device: DeviceName = "auto",
    precision: Precision = "float32",
    threads: int | None = None,
) -> Engine:
    """Return the model in an engine that supports its configuration.

    'auto' chooses OpenVINO on a CPU where it is installed and there are graphs, else the portable
    engine, and Detectron2 for models that these two do not support. threads: those of the engine;
    by default, one for each processor core. Raise ModelError.
    """
    if engine == "openvino":
        require_openvino(device)
        return _open_graphs(files, precision, threads)
    device_name = pick_device(device)
    # Only OpenVINO runs int8, so without graphs its refusal is the one that helps.
    has_graphs = precision == "int8" or files.graphs_for(precision) is not None
    if engine == "auto" and device_name == "cpu" and has_graphs and is_installed():
        return _open_graphs(files, precision, threads)
    try:
        from pipeline.engines import torch_engines
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "torchvision"):
            raise
        raise EngineUnavailable(_no_torch(engine)) from error
    return torch_engines.open_engine(
        files.config, files.weights, engine, device_name, precision, threads
    )


def pick_device(device: DeviceName) -> str:
    """Return 'cpu' or 'cuda'. Raise EngineUnavailable for 'cuda' on a host without a GPU."""
    if device == "cpu":
        return "cpu"
    if _has_gpu():
        return "cuda"
    if device == "cuda":
        raise EngineUnavailable(
            "device 'cuda' was requested, but PyTorch finds no GPU on this machine; choose 'cpu'"
        )
    return "cpu"


def _has_gpu() -> bool:
    """Return whether PyTorch can use a GPU. Without NVIDIA's driver, PyTorch is not loaded."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    try:
        import torch
    except ModuleNotFoundError:
        return False
    return torch.cuda.is_available()


def _open_graphs(files: ModelFiles, precision: Precision, threads: int | None) -> Engine:
    graphs = files.graphs_for(precision)
    if graphs is None and precision == "int8":
        raise EngineUnavailable(
            "precision 'int8' needs a bundle with calibrated layers: lesionserve pack --int8"
        )
    if graphs is None:
        raise EngineUnavailable(
            "engine 'openvino' needs a bundle with OpenVINO's graphs: pack it again with "
            "lesionserve pack, where OpenVINO is installed"
        )
    return OpenVinoEngine.open(files.config, graphs, precision, threads or ALL_CORES)


def _no_torch(engine: EngineName) -> str:
    if engine != "auto":
        return f"engine {engine!r} needs PyTorch: pip install 'lesionserve[serve]'"
    if not is_installed():
        return "neither OpenVINO nor PyTorch is installed: pip install 'lesionserve[cpu]'"
    return (
        "without PyTorch only a bundle that holds OpenVINO's graphs runs: pip install "
        "'lesionserve[serve]', and pack the bundle again"
    )
