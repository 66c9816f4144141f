from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engines.batches import predict_by_shape
from pipeline.engines.portable.engine import PortableEngine
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances
from tests.models import write_model


def picture(height: int, width: int, seed: int = 0) -> ModelInput:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return ModelInput(pixels, height, width)


@pytest.fixture
def engine(tmp_path: Path) -> PortableEngine:
    return PortableEngine.open(*write_model(tmp_path), "cpu")


def assert_same(left: Instances, right: Instances) -> None:
    np.testing.assert_array_equal(left.classes, right.classes)
    np.testing.assert_allclose(left.boxes, right.boxes, atol=1e-3)
    np.testing.assert_allclose(left.scores, right.scores, atol=1e-5)
    assert left.masks is not None
    assert right.masks is not None
    np.testing.assert_allclose(left.masks, right.masks, atol=1e-4)


def test_instances_have_the_contracts_shapes_and_order(engine: PortableEngine) -> None:
    (found,) = engine.predict([picture(64, 96)])
    count = len(found)
    assert 0 < count <= 10
    assert (found.boxes.shape, found.boxes.dtype) == ((count, 4), np.float32)
    assert (found.classes.dtype, set(found.classes) <= {0, 1}) == (np.int64, True)
    assert found.masks is not None
    assert (found.masks.shape, found.masks.dtype) == ((count, 28, 28), np.float32)
    assert (np.diff(found.scores) <= 0).all()
    assert (found.boxes >= 0).all()
    assert (found.boxes[:, 2] <= 96).all()
    assert (found.boxes[:, 3] <= 64).all()


def test_a_batch_of_different_sizes_answers_as_one_by_one(engine: PortableEngine) -> None:
    inputs = [picture(64, 96, 1), picture(128, 64, 2), picture(50, 90, 3), picture(17, 33, 4)]
    for together, alone in zip(
        engine.predict(inputs), map(engine.predict, [[i] for i in inputs]), strict=True
    ):
        assert_same(together, alone[0])


def test_no_input_gives_no_answer(engine: PortableEngine) -> None:
    assert engine.predict([]) == []


def test_read_only_pixels_are_taken(engine: PortableEngine) -> None:
    one = picture(64, 64)
    one.pixels.flags.writeable = False
    assert len(engine.predict([one])) == 1


def test_weights_that_give_no_finite_score_find_nothing(engine: PortableEngine) -> None:
    torch.nn.init.constant_(engine.model.roi_heads.box_predictor.cls_score.weight, float("nan"))
    (found,) = engine.predict([picture(64, 64)])
    assert len(found) == 0
    assert found.boxes.shape == (0, 4)
    assert found.masks is not None
    assert found.masks.shape == (0, 28, 28)


def test_an_image_without_any_proposal_finds_nothing(engine: PortableEngine) -> None:
    torch.nn.init.constant_(
        engine.model.proposal_generator.rpn_head.anchor_deltas.bias, float("nan")
    )
    found = engine.predict([picture(64, 64), picture(64, 64, 1)])
    assert [len(one) for one in found] == [0, 0]


def test_group_norm_takes_an_empty_batch_of_boxes(tmp_path: Path) -> None:
    changes = {
        "MODEL.ROI_MASK_HEAD.NORM": "GN",
        "MODEL.ROI_MASK_HEAD.CONV_DIM": 32,
        "MODEL.ROI_HEADS.SCORE_THRESH_TEST": 1.0,
    }
    engine = PortableEngine.open(*write_model(tmp_path, **changes), "cpu")
    assert len(engine.predict([picture(64, 64)])[0]) == 0


def test_without_a_mask_head_there_are_no_masks(tmp_path: Path) -> None:
    engine = PortableEngine.open(*write_model(tmp_path, **{"MODEL.MASK_ON": False}), "cpu")
    assert engine.predict([picture(64, 64)])[0].masks is None


def test_only_inputs_of_one_padded_size_run_together() -> None:
    seen = []

    def predict(inputs: list[ModelInput]) -> list[Instances]:
        seen.append([one.source_width for one in inputs])
        return [
            Instances(np.zeros((0, 4)), np.zeros(0), np.full(0, one.source_width), None)
            for one in inputs
        ]

    inputs = [picture(30, 40), picture(64, 64), picture(32, 64), picture(20, 33)]
    predict_by_shape(inputs, 32, predict)
    assert seen == [[40, 64, 33], [64]]
