import logging
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.engines.openvino import Graphs, convert, require_openvino
from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.portable.networks import Features, Networks, Prediction
from pipeline.errors import EngineUnavailable
from pipeline.image.resize import ModelInput

# The likeliest of an image's boxes: their ranges are the others', and 1000 would fill the memory.
_BOXES_PER_IMAGE = 64


def quantize(model: MaskRCNN, inputs: Sequence[ModelInput]) -> Graphs:
    """The model's layers in int8, by NNCF's post-training quantization.

    inputs: what the ranges of the activations are taken from; images like those to come.
    Raises EngineUnavailable where OpenVINO or NNCF is not installed.
    """
    require_openvino("cpu")
    if find_spec("nncf") is None:
        raise EngineUnavailable("NNCF is not installed: pip install nncf")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    seen = _record(model, inputs)
    return {name: _quantized(graph, seen[name]) for name, graph in convert(model).items()}


def _quantized(graph: Any, seen: Sequence[NDArray[np.float32]]) -> Any:
    import nncf

    if not seen:  # the mask head, where no image has an instance
        return graph
    with redirect_stdout(sys.stderr):  # its progress is no output of ours
        return nncf.quantize(
            graph,
            nncf.Dataset(seen),
            # Activations that no ReLU cuts at zero keep both signs.
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(seen),
        )


def _record(model: MaskRCNN, inputs: Sequence[ModelInput]) -> dict[str, list[NDArray[np.float32]]]:
    """What each part is given while the model runs on the inputs, one at a time."""
    recorder = _Recorder(model.networks)
    model.networks = recorder
    try:
        engine = PortableEngine(model, "cpu")
        for one in inputs:
            engine.predict([one])
    finally:
        model.networks = recorder.networks
    return recorder.seen


class _Recorder:
    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.seen: dict[str, list[NDArray[np.float32]]] = {"dense": [], "box": [], "mask": []}

    def dense(self, images: Tensor) -> tuple[Features, list[Prediction]]:
        self._keep("dense", images)
        return self.networks.dense(images)

    def box(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        self._keep("box", pooled)
        return self.networks.box(pooled)

    def mask(self, pooled: Tensor) -> Tensor:
        self._keep("mask", pooled)
        return self.networks.mask(pooled)

    def _keep(self, part: str, x: Tensor) -> None:
        if len(x):
            kept = x[:_BOXES_PER_IMAGE].permute(0, 2, 3, 1)
            self.seen[part].append(torch.clone(kept).numpy())
