import hashlib
import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from pipeline.engines.base import Precision
from pipeline.engines.fingerprint import update
from pipeline.engines.portable.engine import PortableEngine, load_model
from pipeline.engines.portable.maskrcnn import MaskRCNN, layers_of
from pipeline.engines.portable.networks import Features, Prediction
from pipeline.engines.probe_pictures import pooled, probe_pictures
from pipeline.engines.torch_threads import one_torch_thread
from pipeline.errors import EngineUnavailable
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances

# OpenVINO models ("dense", "box" and perhaps "mask"), by the name of the network.
Graphs = dict[str, Any]

_HINTS: dict[Precision, str] = {"float32": "f32", "bfloat16": "bf16", "int8": "f32"}


class OpenVinoEngine(PortableEngine):
    """The portable engine with its layers run by OpenVINO, on a CPU. Use `open` to load it."""

    name = "openvino"

    @classmethod
    def open(
        cls,
        config: Path,
        weights: Path,
        device: str = "cpu",
        precision: Precision = "float32",
        quantized: Path | None = None,
    ) -> Self:
        """Load a Detectron2 YAML and checkpoint.

        quantized: the folder of the layers in int8, needed for precision 'int8' only. Raise
        EngineUnavailable, UnsupportedConfig, CheckpointMismatch or ModelError.
        """
        require_openvino(device)
        model, remarks = load_model(config, weights)
        graphs = read_graphs(quantized) if precision == "int8" else convert(model)
        return cls.of(model, graphs, precision, remarks)

    @classmethod
    def of(
        cls, model: MaskRCNN, graphs: Graphs, precision: Precision, remarks: tuple[str, ...] = ()
    ) -> Self:
        """Return the engine that runs `graphs` as the layers of `model`.

        The model is changed: its weights are dropped, since OpenVINO holds a copy of them.
        """
        names = model.roi_heads.in_features
        model.networks = OpenVinoNetworks(graphs, names, precision)
        for layers in layers_of(model):
            layers.to("meta")
        return cls(model, "cpu", precision, remarks)

    def predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        # PyTorch computes little between the layers, and its idle threads spin while they wait,
        # which would keep OpenVINO's threads from the cores.
        with one_torch_thread():
            return super().predict(inputs)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the tensors that PyTorch holds, and of the layers' outputs.

        OpenVINO does not give out the weights that it computes with. A changed weight changes the
        outputs for fixed pictures, unless it contributes less than their last digit to them.
        """
        digest = hashlib.sha256(super().fingerprint().encode())
        heads, networks = self.model.roi_heads, self.model.networks
        features, predictions = networks.dense(probe_pictures())
        maps = list(features.values())
        update(digest, features.items())
        update(digest, [("prediction", tensor) for pair in predictions for tensor in pair])
        boxes = networks.box(pooled(maps, heads.box_pooler.resolution))
        update(digest, [("box", tensor) for tensor in boxes])
        if heads.mask_pooler is not None:
            masks = networks.mask(pooled(maps, heads.mask_pooler.resolution))
            update(digest, [("mask", masks)])
        return digest.hexdigest()


class OpenVinoNetworks:
    """The networks of a model, compiled by OpenVINO for this processor.

    They take images of any size and any number of boxes.
    """

    def __init__(self, graphs: Graphs, feature_names: Sequence[str], precision: Precision) -> None:
        self._names = tuple(feature_names)
        self._dense = _Compiled(graphs["dense"], precision)
        self._box = _Compiled(graphs["box"], precision)
        self._mask = _Compiled(graphs["mask"], precision) if "mask" in graphs else None

    def dense(self, images: Tensor) -> tuple[Features, list[Prediction]]:
        outputs = self._dense(images)
        maps, predictions = outputs[: len(self._names)], outputs[len(self._names) :]
        features = {
            name: feature.permute(0, 3, 1, 2)
            for name, feature in zip(self._names, maps, strict=True)
        }
        return features, list(zip(predictions[::2], predictions[1::2], strict=True))

    def box(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        logits, deltas = self._box(pooled)
        return logits, deltas

    def mask(self, pooled: Tensor) -> Tensor:
        assert self._mask is not None, "a model without a mask head pools no masks"
        (logits,) = self._mask(pooled)
        return logits


class _Compiled:
    """A graph, compiled for a CPU."""

    def __init__(self, graph: Any, precision: Precision) -> None:
        self._openvino = runtime()
        compiled = self._openvino.Core().compile_model(
            graph,
            "CPU",
            {
                # By default OpenVINO takes bfloat16 where the processor supports it.
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_NUM_THREADS": torch.get_num_threads(),
                # Other replicas may be pinned to the same cores.
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = compiled.create_infer_request()
        self._count = len(compiled.outputs)

    def __call__(self, x: Tensor) -> list[Tensor]:
        """Return the outputs for `x`, (N, C, H, W) float32 in channels-last memory.

        The outputs are views that are valid until the next call.
        """
        pixels = x.permute(0, 2, 3, 1).contiguous().numpy()
        self._request.infer([self._openvino.Tensor(pixels, shared_memory=True)])
        outputs = (self._request.get_output_tensor(i).data for i in range(self._count))
        return [torch.from_numpy(output) for output in outputs]


def convert(model: MaskRCNN) -> Graphs:
    """Return the model's layers as graphs, which share its weights until they are compiled.

    Their inputs and feature maps are (N, H, W, C).
    """
    heads, channels = model.roi_heads, model.backbone.out_channels
    side = 2 * model.backbone.size_divisibility
    box_side = heads.box_pooler.resolution
    graphs = {
        "dense": _graph(_Dense(model), (1, side, side, 3)),
        "box": _graph(_Box(model), (2, box_side, box_side, channels)),
    }
    if heads.mask_pooler is not None:
        mask_side = heads.mask_pooler.resolution
        graphs["mask"] = _graph(_Mask(model), (2, mask_side, mask_side, channels))
    return graphs


def write_graphs(graphs: Graphs, folder: Path) -> None:
    """Write each graph as OpenVINO's two files, an .xml and a .bin, into the new folder."""
    folder.mkdir()
    for name, graph in graphs.items():
        _name_by_place(graph, name)
        runtime().save_model(graph, folder / f"{name}.xml", compress_to_fp16=False)


def _name_by_place(graph: Any, name: str) -> None:
    """Rename the graph and its operations by their type and position.

    OpenVINO's own names count across all graphs of a process, but the same model must give the same
    bytes.
    """
    graph.set_friendly_name(name)
    for place, operation in enumerate(graph.get_ordered_ops()):
        operation.set_friendly_name(f"{operation.get_type_name()}_{place}")


def read_graphs(folder: Path | None) -> Graphs:
    """Return the graphs in a folder. Raise EngineUnavailable where it holds none to read."""
    files = sorted(folder.glob("*.xml")) if folder is not None else []
    if not files:
        raise EngineUnavailable(
            "precision 'int8' needs a bundle with calibrated layers: lesionserve pack --int8"
        )
    try:
        return {path.stem: runtime().Core().read_model(path) for path in files}
    except RuntimeError as error:
        raise EngineUnavailable(
            "the installed OpenVINO cannot read the int8 layers; pack the bundle again"
        ) from error


class _Dense(nn.Module):
    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.networks = model.networks
        self.names = model.roi_heads.in_features
        self.layers = nn.ModuleList([model.backbone, model.proposal_generator.rpn_head])

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features, predictions = self.networks.dense(images.permute(0, 3, 1, 2))
        maps = [features[name].permute(0, 2, 3, 1) for name in self.names]
        return (*maps, *(tensor for prediction in predictions for tensor in prediction))


class _Box(nn.Module):
    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.networks = model.networks
        self.layers = nn.ModuleList([model.roi_heads.box_head, model.roi_heads.box_predictor])

    def forward(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        return self.networks.box(pooled.permute(0, 3, 1, 2))


class _Mask(nn.Module):
    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.networks = model.networks
        assert model.roi_heads.mask_head is not None, "a model without a mask head has no graph"
        self.layers = nn.ModuleList([model.roi_heads.mask_head])

    def forward(self, pooled: Tensor) -> Tensor:
        return self.networks.mask(pooled.permute(0, 3, 1, 2))


@torch.no_grad()
def _graph(part: nn.Module, shape: tuple[int, int, int, int]) -> Any:
    """Return the graph of a module, traced on zeros of `shape`, (N, H, W, C).

    The graph takes any N; that of images (C = 3) also takes any H and W.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns where a shape becomes a number
        # Without the tracer's own check, which runs the module three times more: every bundle's
        # golden cases are checked with the compiled graphs.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            part.eval(), torch.zeros(shape), check_trace=False
        )
        graph = runtime().convert_model(traced, example_input=torch.zeros(shape))
    graph.reshape([-1, -1, -1, shape[3]] if shape[3] == 3 else [-1, *shape[1:]])
    return graph


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
    """Raise EngineUnavailable unless OpenVINO is installed and the device is a CPU."""
    if not is_installed():
        raise EngineUnavailable("OpenVINO is not installed: pip install openvino")
    if device != "cpu":
        raise EngineUnavailable(f"the OpenVINO engine runs on a CPU, not on device {device!r}")
