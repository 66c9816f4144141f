from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engines.batches import predict_by_shape
from pipeline.engines.portable.engine import PortableEngine
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances
from tests.devices import DEVICES, needs_gpu
from tests.models import write_model


def picture(height: int, width: int, seed: int = 0) -> ModelInput:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return ModelInput(pixels, height, width)


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


EXECUTIONS = [
    ("cpu", "eager"),
    ("cpu", "static"),
    *(pytest.param(("cuda", name), marks=needs_gpu) for name in ("eager", "static", "graphs")),
]


@pytest.fixture(params=EXECUTIONS, ids=lambda param: "-".join(param))
def engine(tmp_path: Path, request: pytest.FixtureRequest) -> PortableEngine:
    device, execution = request.param
    return PortableEngine.open(*write_model(tmp_path), device, execution=execution)


def assert_same(left: Instances, right: Instances) -> None:
    np.testing.assert_array_equal(left.classes, right.classes)
    np.testing.assert_allclose(left.boxes, right.boxes, atol=1e-3)
    np.testing.assert_allclose(left.scores, right.scores, atol=1e-5)
    assert left.masks is not None
    assert right.masks is not None
    np.testing.assert_allclose(left.masks, right.masks, atol=1e-4)
    np.testing.assert_allclose(left.embedding, right.embedding, rtol=1e-4, atol=1e-5)


def test_instances_have_shapes_and_order_of_contract(engine: PortableEngine) -> None:
    (instances,) = engine.predict([picture(64, 96)])
    count = len(instances)
    assert 0 < count <= 10
    assert (instances.boxes.shape, instances.boxes.dtype) == ((count, 4), np.float32)
    assert (instances.classes.dtype, set(instances.classes) <= {0, 1}) == (np.int64, True)
    assert instances.masks is not None
    assert (instances.masks.shape, instances.masks.dtype) == ((count, 28, 28), np.float32)
    assert (np.diff(instances.scores) <= 0).all()
    assert (instances.boxes >= 0).all()
    assert (instances.boxes[:, 2] <= 96).all()
    assert (instances.boxes[:, 3] <= 64).all()


@torch.inference_mode()
def test_embedding_is_mean_of_coarsest_level_of_heads(engine: PortableEngine) -> None:
    model_input = picture(64, 96)
    (instances,) = engine.predict([model_input])
    image = torch.from_numpy(model_input.pixels).to(engine.model.device)
    features, _ = engine.model.networks.dense(engine.model.batch([image]))
    expected = features["p5"][0].mean(dim=(1, 2)).cpu().numpy()
    assert instances.embedding is not None
    assert (instances.embedding.shape, instances.embedding.dtype) == ((16,), np.float32)
    np.testing.assert_allclose(instances.embedding, expected, rtol=1e-4, atol=1e-6)


def test_batch_of_sizes_gives_results_of_single_images(engine: PortableEngine) -> None:
    inputs = [picture(64, 96, 1), picture(128, 64, 2), picture(50, 90, 3), picture(17, 33, 4)]
    for together, alone in zip(
        engine.predict(inputs), map(engine.predict, [[i] for i in inputs]), strict=True
    ):
        assert_same(together, alone[0])


def test_predict_without_inputs_returns_empty_list(engine: PortableEngine) -> None:
    assert engine.predict([]) == []


def test_accepts_read_only_pixels(engine: PortableEngine) -> None:
    model_input = picture(64, 64)
    model_input.pixels.flags.writeable = False
    assert len(engine.predict([model_input])) == 1


def test_predicts_without_tf32_and_restores_setting(engine: PortableEngine) -> None:
    settings = []
    engine.model.backbone.register_forward_pre_hook(
        lambda module, inputs: settings.append(torch.backends.cudnn.allow_tf32)
    )
    before = torch.backends.cudnn.allow_tf32
    engine.predict([picture(64, 64)])
    assert settings == [False]
    assert torch.backends.cudnn.allow_tf32 == before


def test_returns_no_instances_without_finite_scores(engine: PortableEngine) -> None:
    torch.nn.init.constant_(engine.model.roi_heads.box_predictor.cls_score.weight, float("nan"))
    (instances,) = engine.predict([picture(64, 64)])
    assert len(instances) == 0
    assert instances.boxes.shape == (0, 4)
    assert instances.masks is not None
    assert instances.masks.shape == (0, 28, 28)


def test_returns_no_instances_without_proposals(engine: PortableEngine) -> None:
    torch.nn.init.constant_(
        engine.model.proposal_generator.rpn_head.anchor_deltas.bias, float("nan")
    )
    results = engine.predict([picture(64, 64), picture(64, 64, 1)])
    assert [len(instances) for instances in results] == [0, 0]


def test_group_norm_accepts_empty_batch_of_boxes(tmp_path: Path, device: str) -> None:
    changes = {
        "MODEL.ROI_MASK_HEAD.NORM": "GN",
        "MODEL.ROI_MASK_HEAD.CONV_DIM": 32,
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 1.0,
    }
    engine = PortableEngine.open(*write_model(tmp_path, **changes), device)
    assert len(engine.predict([picture(64, 64)])[0]) == 0


def test_returns_no_masks_without_mask_head(tmp_path: Path) -> None:
    engine = PortableEngine.open(*write_model(tmp_path, **{"MODEL.MASK_ON": False}), "cpu")
    assert engine.predict([picture(64, 64)])[0].masks is None


def test_batches_only_inputs_of_same_padded_size() -> None:
    batches = []

    def predict(inputs: list[ModelInput]) -> list[Instances]:
        batches.append([model_input.source_width for model_input in inputs])
        return [
            Instances(np.zeros((0, 4)), np.zeros(0), np.full(0, model_input.source_width), None)
            for model_input in inputs
        ]

    inputs = [picture(30, 40), picture(64, 64), picture(32, 64), picture(20, 33)]
    predict_by_shape(inputs, 32, predict)
    assert batches == [[40, 64, 33], [64]]
