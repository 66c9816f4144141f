"""Test that the choice of proposals and detections is that of the portable engine."""

import numpy as np
import pytest
import torch

from pipeline.engines.cell_anchors import cell_anchors
from pipeline.engines.openvino.anchors import Anchors
from pipeline.engines.openvino.boxes import apply_deltas, clip
from pipeline.engines.openvino.detections import Detections, chosen_masks
from pipeline.engines.openvino.proposals import Proposals, highest
from pipeline.engines.openvino.suppression import Suppression
from pipeline.engines.portable import anchors as torch_anchors
from pipeline.engines.portable import boxes as torch_boxes
from pipeline.engines.portable.roi_heads import BoxPredictor
from pipeline.engines.portable.rpn import RPN, RPNHead

INPUT = (96, 160)  # height and width of the padded input
IMAGE = (90, 131)
LIMITS = torch.tensor([[131.0, 90.0, 131.0, 90.0]])  # of the same image
SIZES, RATIOS, STRIDES = ([[8, 12], [16, 24], [48, 64]], [[0.5, 1.0]] * 3, (4, 8, 16))
WEIGHTS = (10.0, 10.0, 5.0, 5.0)


@pytest.fixture(scope="module")
def suppression() -> Suppression:
    return Suppression()


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    values = np.random.default_rng(seed).standard_normal(shape) * scale
    return values.astype(np.float32)


@pytest.mark.parametrize("offset", [0.0, 0.5, 0.3])
def test_anchors_are_those_of_portable_engine(offset: float) -> None:
    generator = torch_anchors.AnchorGenerator(SIZES, RATIOS, STRIDES, offset)
    for level, expected in enumerate(generator(INPUT)):
        cell = cell_anchors(SIZES[level], RATIOS[level])
        rows, columns, shapes = np.indices((*map_size(level), len(cell))).reshape(3, -1)
        found = Anchors(cell, STRIDES[level], offset).boxes(shapes, rows, columns)
        np.testing.assert_array_equal(found, expected.numpy())


@pytest.mark.parametrize("scale", [0.1, 3.0, 100.0])
def test_deltas_move_boxes_like_portable_engine(scale: float) -> None:
    deltas = noise(50, 3, 4, scale=scale)
    boxes = np.abs(noise(50, 4, seed=1, scale=50)).cumsum(axis=1)
    expected = torch_boxes.apply_deltas(
        torch.from_numpy(deltas.reshape(50, 12)), torch.from_numpy(boxes), WEIGHTS
    )
    found = apply_deltas(deltas, boxes, WEIGHTS)
    np.testing.assert_allclose(found.reshape(50, 12), expected.numpy(), rtol=2e-5, atol=1e-3)
    np.testing.assert_allclose(
        clip(found, IMAGE), torch_boxes.clip(torch.from_numpy(found), LIMITS[0]).numpy()
    )


def test_highest_scores_are_in_descending_order() -> None:
    scores = np.array([0.5, -1, 3, 2, np.inf, 2.5], dtype=np.float32)
    assert highest(scores, 3).tolist() == [4, 2, 5]
    assert highest(scores, 99).tolist() == [4, 2, 5, 3, 0, 1]
    assert highest(scores, 0).tolist() == []


def test_score_that_is_no_number_counts_as_highest() -> None:
    scores = np.array([0.5, np.nan, 3, np.inf], dtype=np.float32)
    assert (
        highest(scores, 2).tolist() == torch.from_numpy(scores).topk(2).indices.tolist() == [1, 3]
    )


def map_size(level: int) -> tuple[int, int]:
    return INPUT[0] // STRIDES[level], INPUT[1] // STRIDES[level]


def predictions(seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    return [
        (
            noise(4, *map_size(level), seed=10 * seed + level),
            noise(16, *map_size(level), seed=level, scale=0.4),
        )
        for level in range(3)
    ]


def flat(logits: np.ndarray, deltas: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the outputs of a head in the form that the portable engine gives them."""
    maps = (torch.from_numpy(array)[None].permute(0, 2, 3, 1) for array in (logits, deltas))
    flat_logits, flat_deltas = (output.flatten(1) for output in maps)
    return flat_logits, flat_deltas.unflatten(1, (-1, 4))


@pytest.mark.parametrize("min_size", [0, 6])
@pytest.mark.parametrize(("pre", "post"), [(50, 30), (1000, 1000), (10_000, 300)])
@pytest.mark.parametrize("seed", range(7, 10))
def test_proposals_are_those_of_portable_engine(
    suppression, seed: int, pre: int, post: int, min_size: int
) -> None:
    outputs = predictions(seed)
    outputs[0][1][3, 2, 5] = np.nan  # a delta
    outputs[1][0][1, 2, 3] = np.inf  # a logit
    rpn = RPN(
        in_features=["p2", "p3", "p4"],
        rpn_head=RPNHead(1, 4, [-1]),
        anchor_generator=torch_anchors.AnchorGenerator(SIZES, RATIOS, STRIDES, 0.0),
        bbox_reg_weights=WEIGHTS,
        pre_nms_topk=pre,
        post_nms_topk=post,
        nms_thresh=0.7,
        min_box_size=min_size,
    )
    (expected,) = rpn([flat(*pair) for pair in outputs], INPUT, LIMITS)
    levels = zip(SIZES, RATIOS, STRIDES, strict=True)
    anchors = [Anchors(cell_anchors(*cell), stride, 0.0) for *cell, stride in levels]
    choose = Proposals(suppression, anchors, WEIGHTS, pre, post, 0.7, min_size)
    np.testing.assert_allclose(choose(outputs, IMAGE), expected.numpy(), atol=1e-3)


@pytest.mark.parametrize("topk", [-1, 0, 5, 1000])
@pytest.mark.parametrize("sigmoid", [False, True])
@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 1.0])
def test_detections_are_those_of_portable_engine(
    suppression, threshold: float, agnostic: bool, sigmoid: bool, topk: int
) -> None:
    count, classes = 120, 3
    logits = noise(count, classes + 1, scale=2)
    deltas = noise(count, 4 if agnostic else 4 * classes, seed=2)
    logits[4, 0], deltas[5, 1] = np.nan, np.inf
    proposals = np.abs(noise(count, 4, seed=1, scale=40)).cumsum(axis=1)
    settings = {
        "sigmoid": sigmoid,
        "bbox_reg_weights": WEIGHTS,
        "score_thresh": threshold,
        "nms_thresh": 0.5,
        "topk": topk,
    }
    predictor = BoxPredictor(1, classes, class_agnostic=agnostic, **settings)
    tensors = (torch.from_numpy(array) for array in (logits, deltas))
    (expected,) = predictor.choose(*tensors, [torch.from_numpy(proposals)], LIMITS)
    found = Detections(suppression, **settings)(logits, deltas, proposals, IMAGE)
    np.testing.assert_array_equal(found.classes, expected.classes.numpy())
    np.testing.assert_allclose(found.scores, expected.scores.numpy(), rtol=1e-5)
    np.testing.assert_allclose(found.boxes, expected.boxes.numpy(), atol=1e-3)
    assert found.masks is None


def test_mask_is_that_of_detected_class() -> None:
    logits = noise(4, 3, 5, 5, scale=4)
    masks = chosen_masks(logits, np.array([2, 0, 1, 1]))
    expected = torch.from_numpy(logits).sigmoid().numpy()
    np.testing.assert_allclose(masks[0], expected[0, 2], rtol=1e-5)
    np.testing.assert_allclose(masks[3], expected[3, 1], rtol=1e-5)


def test_class_agnostic_mask_is_that_of_every_class() -> None:
    logits = noise(2, 1, 5, 5)
    masks = chosen_masks(logits, np.array([2, 0]))
    np.testing.assert_allclose(masks, torch.from_numpy(logits[:, 0]).sigmoid().numpy(), rtol=1e-5)
