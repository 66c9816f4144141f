"""Test that suppression with fixed shapes keeps the boxes that torchvision's keeps."""

import pytest
import torch
from torch import Tensor
from torchvision.ops import batched_nms, nms

from pipeline.engines.portable.static import suppression
from pipeline.engines.portable.static.suppression import moved_apart, overlaps, survivors


def boxes_of(count: int, seed: int, spread: float = 60.0) -> Tensor:
    """Return (count, 4) boxes, which overlap the more the smaller the spread is."""
    random = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=random) * spread
    return torch.cat((corners, corners + torch.rand(count, 2, generator=random) * 40), dim=1)


def kept_by_rounds(boxes: Tensor, threshold: float) -> Tensor:
    valid = torch.ones(1, len(boxes), dtype=torch.bool)
    kept, settled = survivors(overlaps(boxes[None], threshold), valid)
    assert settled.all()
    return kept[0].nonzero()[:, 0]


def descending(count: int) -> Tensor:
    return torch.linspace(1, 0.1, count)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_keeps_boxes_that_torchvision_keeps(seed: int, threshold: float) -> None:
    boxes = boxes_of(300, seed)
    expected = nms(boxes, descending(300), threshold)
    assert kept_by_rounds(boxes, threshold).tolist() == expected.tolist()


def test_boxes_without_area_suppress_nothing() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 5], [0, 0, 9, 0], [0, 0, 9, 9], [0, 0, 9, 9]])
    expected = nms(boxes, descending(5), 0.5)
    assert kept_by_rounds(boxes, 0.5).tolist() == expected.tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize("width", range(1, 10))
def test_overlap_at_threshold_is_judged_as_by_torchvision(width: int) -> None:
    # The threshold is a float64; that nearest to it in float32 lies above or below.
    boxes = torch.tensor([[0.0, 0, 10, 1], [0, 0, width, 1]])
    expected = nms(boxes, descending(2), width / 10)
    assert kept_by_rounds(boxes, width / 10).tolist() == expected.tolist()


@pytest.mark.parametrize("count", [900, 1000, 1001, 1100])
def test_groups_are_compared_as_by_torchvision(count: int) -> None:
    boxes, groups = boxes_of(count, 7, spread=400.0), torch.arange(count) % 3
    expected = batched_nms(boxes, descending(count), groups, 0.4)
    compared = moved_apart(boxes[None], groups[None], torch.tensor([count]), boxes.max().reshape(1))
    same_group = groups[:, None] == groups
    valid = torch.ones(1, count, dtype=torch.bool)
    kept, _ = survivors(overlaps(compared, 0.4) & same_group, valid)
    assert kept[0].nonzero()[:, 0].tolist() == expected.tolist()


def test_only_few_boxes_are_moved_apart() -> None:
    boxes, groups = boxes_of(10, 0)[None], torch.ones(1, 10, dtype=torch.int64)
    largest = torch.tensor([100.0])
    moved = moved_apart(boxes, groups, torch.tensor([1000]), largest)
    torch.testing.assert_close(moved, boxes + 101)
    assert torch.equal(moved_apart(boxes, groups, torch.tensor([1001]), largest), boxes)


def test_invalid_box_neither_suppresses_nor_is_kept() -> None:
    boxes = torch.tensor([[[0.0, 0, 9, 9], [0, 0, 9, 9]]])
    kept, settled = survivors(overlaps(boxes, 0.5), torch.tensor([[False, True]]))
    assert (kept.tolist(), settled.tolist()) == ([[False, True]], [True])


def test_images_and_levels_do_not_affect_each_other() -> None:
    boxes = torch.stack([boxes_of(50, seed) for seed in range(6)]).view(2, 3, 50, 4)
    kept, settled = survivors(overlaps(boxes, 0.5), torch.ones(2, 3, 50, dtype=torch.bool))
    assert settled.shape == (2, 3)
    for image in range(2):
        for level in range(3):
            expected = kept_by_rounds(boxes[image, level], 0.5)
            assert kept[image, level].nonzero()[:, 0].tolist() == expected.tolist()


def chain(count: int) -> Tensor:
    """Return boxes of which each overlaps only the one before it and the one after it."""
    left = torch.arange(count) * 4.0
    return torch.stack((left, torch.zeros(count), left + 10, torch.ones(count)), dim=1)


def test_chain_of_as_many_boxes_as_rounds_is_settled() -> None:
    boxes = chain(suppression.ROUNDS)
    expected = nms(boxes, descending(len(boxes)), 0.3)
    assert kept_by_rounds(boxes, 0.3).tolist() == expected.tolist()


def test_longer_chain_of_boxes_is_not_settled() -> None:
    boxes = chain(suppression.ROUNDS + 2)
    valid = torch.ones(1, len(boxes), dtype=torch.bool)
    _, settled = survivors(overlaps(boxes[None], 0.3), valid)
    assert settled.tolist() == [False]


def test_no_boxes_are_settled() -> None:
    kept, settled = survivors(overlaps(torch.zeros(2, 0, 4), 0.5), torch.zeros(2, 0).bool())
    assert (kept.shape, settled.tolist()) == ((2, 0), [True, True])
