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

from pipeline.engines.openvino.convert import convert, taking_pixels
from pipeline.engines.openvino.graphs import Graphs
from pipeline.engines.openvino.runtime import require_openvino
from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.portable.networks import Features, Networks, Prediction
from pipeline.errors import EngineUnavailable
from pipeline.image.resize import ModelInput

# The number of boxes with the highest scores that are recorded of each image. Their ranges are
# those of the other boxes, too, and all 1000 would fill the memory.
_BOXES_PER_IMAGE = 64


def quantize(model: MaskRCNN, inputs: Sequence[ModelInput]) -> Graphs:
    """Return the model's layers in int8, by NNCF's post-training quantization.

    inputs: images from which the ranges of the activations are taken; they should be like those
    that the model will get. Raise EngineUnavailable where OpenVINO or NNCF is not installed.
    """
    require_openvino("cpu")
    if find_spec("nncf") is None:
        raise EngineUnavailable("NNCF is not installed: pip install nncf")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    samples = _record(model, inputs)
    graphs = {name: _quantized(graph, samples[name]) for name, graph in convert(model).items()}
    return taking_pixels(graphs, model)


def _quantized(graph: Any, samples: Sequence[NDArray[np.float32]]) -> Any:
    import nncf

    if not samples:  # the mask head, where no image has an instance
        return graph
    with redirect_stdout(sys.stderr):  # NNCF prints its progress to stdout
        return nncf.quantize(
            graph,
            nncf.Dataset(samples),
            # MIXED gives activations asymmetric ranges: those without a ReLU have both signs.
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(samples),
        )


def _record(model: MaskRCNN, inputs: Sequence[ModelInput]) -> dict[str, list[NDArray[np.float32]]]:
    """Return the inputs of each network's graph, by its name, while the model runs image by image.

    Each sample is float32: (1, 3, H, W) of `dense`, and (N, H, W, C) of the heads.
    """
    recorder = _Recorder(model.networks)
    model.networks = recorder
    try:
        engine = PortableEngine(model, "cpu")
        for model_input in inputs:
            engine.predict([model_input])
    finally:
        model.networks = recorder.networks
    return recorder.samples


class _Recorder:
    """The networks of a model, which record their inputs while they run."""

    def __init__(self, networks: Networks) -> None:
        self.networks = networks
        self.samples: dict[str, list[NDArray[np.float32]]] = {"dense": [], "box": [], "mask": []}

    def dense(self, images: Tensor) -> tuple[Features, list[Prediction]]:
        self._record("dense", images)
        return self.networks.dense(images)

    def box(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        self._record("box", pooled.permute(0, 2, 3, 1))
        return self.networks.box(pooled)

    def mask(self, pooled: Tensor) -> Tensor:
        self._record("mask", pooled.permute(0, 2, 3, 1))
        return self.networks.mask(pooled)

    def _record(self, name: str, x: Tensor) -> None:
        if len(x):
            sample = x[:_BOXES_PER_IMAGE].contiguous()
            self.samples[name].append(torch.clone(sample).numpy())
