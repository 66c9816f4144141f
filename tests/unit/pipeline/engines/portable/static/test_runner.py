"""Test that the static execution gives the instances of the eager one, whatever the fixed sizes."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.static import detections, model, suppression
from pipeline.engines.portable.static.runner import StaticRunner
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances
from tests.models import write_model

CHANGES = {
    "as it is": {},
    "without masks": {"MODEL.MASK_ON": False},
    "class-agnostic": {
        "MODEL.ROI_BOX_HEAD.CLS_AGNOSTIC_BBOX_REG": True,
        "MODEL.ROI_MASK_HEAD.CLS_AGNOSTIC_MASK": True,
    },
    "sigmoid scores": {"MODEL.ROI_BOX_HEAD.USE_SIGMOID_CE": True},
    "fixed sampling": {"MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": 2},
    "first ROIAlign": {"MODEL.ROI_BOX_HEAD.POOLER_TYPE": "ROIAlign"},
    "every detection": {"TEST.DETECTIONS_PER_IMAGE": -1},
    "no detection": {"TEST.DETECTIONS_PER_IMAGE": 0},
    "no proposal": {"MODEL.RPN.POST_NMS_TOPK_TEST": 0},
    "no candidate": {"MODEL.RPN.PRE_NMS_TOPK_TEST": 0},
    "large proposals": {"MODEL.PROPOSAL_GENERATOR.MIN_SIZE": 20},
    "high threshold": {"MODEL.ROI_HEADS.SCORE_THRESH_TEST": 1.0},
    "negative threshold": {"MODEL.ROI_HEADS.SCORE_THRESH_TEST": -1.0},
    "shifted anchors": {"MODEL.ANCHOR_GENERATOR.OFFSET": 0.5},
    "finer levels": {"MODEL.ROI_HEADS.IN_FEATURES": ["p2", "p3"]},
}


def picture(height: int, width: int, seed: int) -> ModelInput:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return ModelInput(pixels, height, width)


# Three sizes that are padded to one, and another one.
INPUTS = [picture(64, 96, 1), picture(50, 90, 2), picture(61, 96, 3), picture(128, 64, 4)]


def open_both(folder: Path, **changes: object) -> tuple[PortableEngine, PortableEngine]:
    """Return a model in the eager and in the static execution.

    Its scores are no nearer to 1 than those of a trained model, where many would be equal.
    """
    config, checkpoint = write_model(folder, **changes)
    state = torch.load(checkpoint, weights_only=True)["model"]
    state["roi_heads.box_predictor.cls_score.weight"] *= 0.1
    torch.save({"model": state}, checkpoint)
    eager, static = (
        PortableEngine.open(config, checkpoint, execution=execution)
        for execution in ("eager", "static")
    )
    return eager, static


def assert_same(actual: list[Instances], expected: list[Instances]) -> None:
    for left, right in zip(actual, expected, strict=True):
        np.testing.assert_array_equal(left.classes, right.classes)
        np.testing.assert_allclose(left.boxes, right.boxes, atol=1e-3)
        np.testing.assert_allclose(left.scores, right.scores, atol=1e-5)
        assert (left.masks is None) == (right.masks is None)
        if left.masks is not None and right.masks is not None:
            np.testing.assert_allclose(left.masks, right.masks, atol=1e-4)
            assert left.masks.dtype == right.masks.dtype
        np.testing.assert_allclose(left.embedding, right.embedding, rtol=1e-4, atol=1e-5)
        assert left.embedding.dtype == right.embedding.dtype == np.float32
        assert left.boxes.dtype == right.boxes.dtype
        assert left.boxes.shape == right.boxes.shape


@pytest.fixture
def eager_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of inputs in each call of the eager execution within the static one."""
    calls: list[int] = []
    run = StaticRunner.__init__

    def init(self: StaticRunner, static: object, program: object, eager: object) -> None:
        def counted(inputs: list[ModelInput]) -> list[Instances]:
            calls.append(len(inputs))
            return eager(inputs)

        run(self, static, program, counted)

    monkeypatch.setattr(StaticRunner, "__init__", init)
    return calls


@pytest.mark.parametrize("changes", CHANGES.values(), ids=CHANGES)
def test_static_gives_instances_of_eager(
    tmp_path: Path, changes: dict[str, object], eager_calls: list[int]
) -> None:
    eager, static = open_both(tmp_path, **changes)
    assert_same(static.predict(INPUTS), eager.predict(INPUTS))
    assert eager_calls == []


def test_static_runs_in_bfloat16(tmp_path: Path) -> None:
    # Other numbers of boxes are rounded otherwise, so that near scores change their order.
    files = write_model(tmp_path)
    eager, static = (
        PortableEngine.open(*files, precision="bfloat16", execution=execution)
        for execution in ("eager", "static")
    )
    for actual, expected in zip(static.predict(INPUTS), eager.predict(INPUTS), strict=True):
        np.testing.assert_allclose(actual.scores, expected.scores, atol=0.02)
        assert actual.masks is not None
        assert actual.masks.dtype == actual.boxes.dtype == np.float32


@pytest.mark.parametrize("per_image", [1, 3])
def test_masks_beyond_first_chunk_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, per_image: int
) -> None:
    monkeypatch.setattr(model, "MASKS_PER_IMAGE", per_image)
    eager, static = open_both(tmp_path)
    expected = eager.predict(INPUTS)
    assert max(map(len, expected)) > 3
    assert_same(static.predict(INPUTS), expected)


def test_chain_beyond_the_rounds_is_run_eagerly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager_calls: list[int]
) -> None:
    monkeypatch.setattr(suppression, "ROUNDS", 1)
    eager, static = open_both(tmp_path)
    assert_same(static.predict(INPUTS), eager.predict(INPUTS))
    assert eager_calls == [1] * len(INPUTS)


def test_more_candidates_than_compared_are_run_eagerly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager_calls: list[int]
) -> None:
    monkeypatch.setattr(detections, "CANDIDATES", 9)
    eager, static = open_both(tmp_path)
    assert_same(static.predict(INPUTS[:1]), eager.predict(INPUTS[:1]))
    assert eager_calls == [1]


def test_candidates_left_out_do_not_matter_below_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager_calls: list[int]
) -> None:
    monkeypatch.setattr(detections, "CANDIDATES", 40)
    eager, static = open_both(tmp_path, **{"TEST.DETECTIONS_PER_IMAGE": 3})
    assert_same(static.predict(INPUTS), eager.predict(INPUTS))
    assert eager_calls == []


def test_only_unsettled_image_of_batch_is_run_eagerly(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, eager_calls: list[int]
) -> None:
    eager, static = open_both(tmp_path)
    choose = model.choose

    def second_unsettled(*arguments: object) -> detections.PaddedDetections:
        chosen = choose(*arguments)
        chosen.settled[1] = False
        chosen.boxes[1] = 0
        return chosen

    monkeypatch.setattr(model, "choose", second_unsettled)
    batch = INPUTS[:3]
    assert_same(static.predict(batch), eager.predict(batch))
    assert eager_calls == [1]
