"""Test that no step of the static model needs the host, on a GPU without values."""

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException

from pipeline.engines.portable.build import build_model
from pipeline.engines.portable.config import parse_config
from pipeline.engines.portable.fusion import fused
from pipeline.engines.portable.maskrcnn import MaskRCNN
from pipeline.engines.portable.static.model import Output, StaticMaskRCNN
from tests.fake_gpu import FakeGpu, HostOperations, move_to_fake_gpu
from tests.models import tree

VARIANTS = {
    "with masks": {},
    "without masks": {"MODEL.MASK_ON": False},
    "class-agnostic": {
        "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
        "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK": True,
    },
    "group norms": {"MODEL.FPN.NORM": "GN", "MODEL.FPN.OUT_CHANNELS": 32},
    "every detection": {"TEST.DETECTIONS_PER_IMAGE": -1},
    "no detection": {"TEST.DETECTIONS_PER_IMAGE": 0},
    "no proposal": {"MODEL.RPN.POST_NMS_TOPK_TEST": 0, "MODEL.RPN.PRE_NMS_TOPK_TEST": 0},
}


class Export(nn.Module):
    """The static model as a module, for `torch.export`."""

    def __init__(self, model: MaskRCNN) -> None:
        super().__init__()
        self.model = model
        self.static = StaticMaskRCNN(model)

    def forward(self, pixels: Tensor, sizes: Tensor) -> Output:
        return self.static(pixels, sizes)


def build(**changes: object) -> MaskRCNN:
    return fused(build_model(parse_config(tree(**changes))))


def inputs(count: int) -> tuple[Tensor, Tensor]:
    pixels = torch.empty(count, 64, 96, 3, dtype=torch.uint8, device="cuda")
    return pixels, torch.empty(count, 2, dtype=torch.int64, device="cuda")


@pytest.mark.parametrize("changes", VARIANTS.values(), ids=VARIANTS)
def test_static_model_never_asks_the_host(changes: dict[str, object]) -> None:
    model = build(**changes)
    with FakeGpu(), torch.inference_mode():
        move_to_fake_gpu(model)
        arguments = inputs(2)
        with HostOperations() as operations:
            output = StaticMaskRCNN(model)(*arguments)
        assert {tensor.device.type for tensor in output.detections} == {"cuda"}
    assert operations.names == []


def test_eager_model_asks_the_host() -> None:
    model = build()
    with FakeGpu(), torch.inference_mode():
        move_to_fake_gpu(model)
        pixels, _ = inputs(1)
        with pytest.raises(DynamicOutputShapeException):
            model(list(pixels))


def test_transfer_from_the_host_is_noticed() -> None:
    with FakeGpu(), HostOperations() as operations:
        torch.ones(3, device="cuda") * torch.ones((), device="cuda")
        assert operations.names == []
        torch.tensor(2.0).to("cuda")
    assert operations.names[-1] == "aten._to_copy.default"


def test_static_model_is_one_graph_for_the_compiler() -> None:
    model = build()
    with FakeGpu(), torch.no_grad():
        move_to_fake_gpu(model)
        torch.export.export(Export(model), inputs(2), strict=True)


def test_masks_are_computed_for_a_fixed_number_of_detections() -> None:
    model = build(**{"TEST.DETECTIONS_PER_IMAGE": 100})
    with FakeGpu(), torch.inference_mode():
        move_to_fake_gpu(model)
        output = StaticMaskRCNN(model)(*inputs(2))
        assert output.detections.valid.shape == (2, 100)
        assert output.masks[0].shape == (32, 28, 28)
