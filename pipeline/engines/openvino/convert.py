"""The conversion of a model in PyTorch into OpenVINO's graphs, when a bundle is packed."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.engines.openvino.graphs import Graphs
from pipeline.engines.openvino.runtime import runtime
from pipeline.engines.portable.maskrcnn import MaskRCNN


def convert(model: MaskRCNN) -> Graphs:
    """Return the model's networks as graphs, which share its weights.

    They are those of `Graphs`, but `dense` takes a normalized, padded batch (N, 3, H, W);
    `taking_pixels` gives it the input that the engine needs.
    """
    heads, channels = model.roi_heads, model.backbone.out_channels
    side = 2 * model.backbone.size_divisibility
    box_side = heads.box_pooler.resolution
    graphs = {
        "dense": _graph(_Dense(model), (1, 3, side, side), [-1, 3, -1, -1]),
        "box": _head_graph(_Box(model), box_side, channels),
    }
    if heads.mask_pooler is not None:
        mask_side = heads.mask_pooler.resolution
        graphs["mask"] = _head_graph(_Mask(model), mask_side, channels)
    return graphs


def taking_pixels(graphs: Graphs, model: MaskRCNN) -> Graphs:
    """Return the graphs, changed in place so that `dense` takes pictures (N, H, W, 3) uint8.

    It normalizes each picture, and pads it with zeros at its right and bottom.
    """
    ops = runtime().opset13
    dense = graphs["dense"]
    (old,) = dense.get_parameters()
    pixels = ops.parameter([-1, -1, -1, 3], np.uint8)
    planes = ops.transpose(pixels, ops.constant(np.array([0, 3, 1, 2])))
    normal = ops.divide(
        ops.subtract(ops.convert(planes, np.float32), _per_channel(model.pixel_mean)),
        _per_channel(model.pixel_std),
    )
    divisor = model.backbone.size_divisibility
    missing = ops.floor_mod(
        ops.negative(ops.shape_of(planes)), ops.constant(np.array([1, 1, divisor, divisor]))
    )
    none = ops.constant(np.zeros(4, dtype=np.int64))
    padded = ops.pad(normal, none, missing, "constant", ops.constant(np.float32(0)))
    for target in old.output(0).get_target_inputs():
        target.replace_source_output(padded.output(0))
    return graphs | {"dense": runtime().Model(dense.get_results(), [pixels], "dense")}


class _Dense(nn.Module):
    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.names = model.roi_heads.in_features
        self.rpn_names = model.proposal_generator.in_features
        self.backbone = model.backbone
        self.rpn_head = model.proposal_generator.rpn_head

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        features = self.backbone(images)
        # OpenVINO takes three times as long to permute the four axes.
        maps = [features[name].flatten(2).permute(0, 2, 1) for name in self.names]
        predictions = [self.rpn_head.maps(features[name]) for name in self.rpn_names]
        return torch.cat(maps, dim=1), *(tensor for pair in predictions for tensor in pair)


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


def _head_graph(head: nn.Module, side: int, channels: int) -> Any:
    """Return the graph of a head, for any number of pooled boxes (R, side, side, channels)."""
    return _graph(head, (2, side, side, channels), [-1, side, side, channels])


@torch.no_grad()
def _graph(part: nn.Module, example: Sequence[int], shape: Sequence[int]) -> Any:
    """Return the graph of a module for inputs of `shape`, where -1 is any number.

    The module is traced on zeros of the shape `example`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns where a shape becomes a number
        # Without the tracer's own check, which runs the module three times more: every bundle's
        # golden cases are checked with the compiled graphs.
        traced = torch.jit.trace(  # type: ignore[no-untyped-call]
            part.eval(), torch.zeros(example), check_trace=False
        )
        graph = runtime().convert_model(traced, example_input=torch.zeros(example))
    graph.reshape(list(shape))
    return graph


def _per_channel(values: Tensor) -> Any:
    """Return a constant (1, C, 1, 1)."""
    return runtime().opset13.constant(values.reshape(1, -1, 1, 1).numpy())
