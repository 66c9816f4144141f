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

    Their inputs and feature maps are (N, H, W, C). That of `dense` is a normalized, padded batch;
    `taking_pixels` gives it the input that the engine needs.
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


def taking_pixels(graphs: Graphs, model: MaskRCNN) -> Graphs:
    """Return the graphs, changed in place so that `dense` takes pictures (N, H, W, 3) uint8.

    It normalizes each picture, and pads it with zeros at its right and bottom.
    """
    ops = runtime().opset13
    dense = graphs["dense"]
    (old,) = dense.get_parameters()
    pixels = ops.parameter([-1, -1, -1, 3], np.uint8)
    values = ops.convert(pixels, np.float32)
    normal = ops.divide(
        ops.subtract(values, ops.constant(model.pixel_mean.numpy())),
        ops.constant(model.pixel_std.numpy()),
    )
    divisor = model.backbone.size_divisibility
    missing = ops.floor_mod(
        ops.negative(ops.shape_of(pixels)), ops.constant(np.array([1, divisor, divisor, 1]))
    )
    none = ops.constant(np.zeros(4, dtype=np.int64))
    padded = ops.pad(normal, none, missing, "constant", ops.constant(np.float32(0)))
    for target in old.output(0).get_target_inputs():
        target.replace_source_output(padded.output(0))
    return graphs | {"dense": runtime().Model(dense.get_results(), [pixels], "dense")}


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
def _graph(part: nn.Module, shape: Sequence[int]) -> Any:
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
