import sys
import threading
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.engines.base import Precision
from pipeline.errors import EngineUnavailable

Array = NDArray[Any]

ALL_CORES = 0  # as a number of threads
# For what takes less than a millisecond between two graphs: a second thread would gain nothing, and
# would wait for work on a core that another image could use.
ONE_THREAD = 1

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


def runtime() -> Any:
    """Return the module `openvino`, imported without its telemetry.

    With the package `openvino_telemetry` it would report each conversion over the network. It sends
    nothing where that package cannot be imported.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return import_module("openvino")


def is_installed() -> bool:
    return find_spec("openvino") is not None


def require_openvino(device: str) -> None:
    """Raise EngineUnavailable where OpenVINO is not installed, and for a GPU."""
    if not is_installed():
        raise EngineUnavailable("OpenVINO is not installed: pip install openvino")
    if device == "cuda":
        raise EngineUnavailable(f"the OpenVINO engine runs on a CPU, not on device {device!r}")


class CompiledGraph:
    """A graph, compiled for this processor. Several threads may call it."""

    def __init__(self, graph: Any, precision: Precision, threads: int) -> None:
        self._openvino = runtime()
        self._compiled = self._openvino.Core().compile_model(
            graph,
            "CPU",
            {
                # By default OpenVINO takes bfloat16 where the processor supports it.
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": threads,
                # Other replicas may be pinned to the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._outputs = range(len(self._compiled.outputs))
        # A request holds the outputs of its last run.
        self._of_thread = threading.local()

    def __call__(self, *inputs: Array) -> Sequence[Array]:
        """Return the outputs for the inputs of the graph, in its order.

        The outputs are views that are valid until the next call of the same thread.
        """
        request = self._request()
        # Inputs that are given to `infer` cost more Python than a small graph takes.
        for place, x in enumerate(inputs):
            array = np.require(x, requirements=["C", "W"])
            tensor = self._openvino.Tensor(array, shared_memory=True)
            request.set_input_tensor(place, tensor)
        request.infer()
        return [request.get_output_tensor(i).data for i in self._outputs]

    def _request(self) -> Any:
        if not hasattr(self._of_thread, "request"):
            self._of_thread.request = self._compiled.create_infer_request()
        return self._of_thread.request
