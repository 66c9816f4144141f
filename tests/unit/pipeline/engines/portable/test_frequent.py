"""Test which batches run the faster way. tests/parity holds that way to Detectron2's answers."""

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from pipeline.engines.portable.frequent import FrequentShapes, agree
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances

RESULT = Instances(
    boxes=np.array([[8, 8, 24, 40], [30, 2, 60, 20]], np.float32),
    scores=np.array([0.9, 0.6], np.float32),
    classes=np.array([1, 0]),
    masks=np.full((2, 28, 28), 0.7, np.float32),
    embedding=np.array([3, 4], np.float32),
)


class Recorder:
    """A runner that remembers, of each batch, its size and the height of its images."""

    def __init__(self, result: Instances = RESULT, error: Exception | None = None) -> None:
        self.result = result
        self.error = error
        self.batches: list[tuple[int, int]] = []

    def __call__(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        self.batches.append((len(inputs), inputs[0].pixels.shape[0]))
        if self.error:
            raise self.error
        return [self.result] * len(inputs)


def run(runner: FrequentShapes, *batches: tuple[int, int]) -> None:
    for count, height in batches:
        results = runner([ModelInput(np.zeros((height, 64, 3), np.uint8), height, 64)] * count)
        assert len(results) == count


def shapes(usual: Recorder, fast: Recorder, most: int = 16) -> FrequentShapes:
    return FrequentShapes(usual, fast, divisibility=32, most=most, uses=3)


def test_shape_runs_fast_once_it_came_often() -> None:
    usual, fast = Recorder(), Recorder()
    run(shapes(usual, fast), *[(1, 64)] * 5)
    assert usual.batches == [(1, 64)] * 3
    assert fast.batches == [(1, 64)] * 3  # the first of them only to compare


def test_shapes_are_counted_by_padded_size_and_images_of_the_batch() -> None:
    usual, fast = Recorder(), Recorder()
    run(shapes(usual, fast), (1, 64), (1, 40), (2, 64), (1, 65), (1, 50))
    assert fast.batches == [(1, 50)]


def test_shape_that_was_not_used_longest_has_to_come_often_again() -> None:
    usual, fast = Recorder(), Recorder()
    runner = shapes(usual, fast, most=1)
    run(runner, *[(1, 64)] * 3, *[(2, 64)] * 3)
    usual.batches.clear()
    run(runner, (2, 64), (1, 64))
    assert usual.batches == [(1, 64)]


@pytest.mark.parametrize(
    "other",
    [
        replace(RESULT, classes=np.array([0, 1])),
        replace(RESULT, scores=RESULT.scores - 0.03),
        replace(RESULT, boxes=RESULT.boxes + 2),
        replace(RESULT, masks=np.full((2, 28, 28), 0.4, np.float32)),
        replace(RESULT, masks=None),
        replace(RESULT, embedding=np.array([3, 4.5], np.float32)),
        replace(RESULT, boxes=RESULT.boxes[:1], scores=RESULT.scores[:1], classes=np.array([1])),
    ],
    ids=["class", "score", "box", "mask", "no mask", "embedding", "count"],
)
def test_way_with_other_answers_is_not_used(
    other: Instances, caplog: pytest.LogCaptureFixture
) -> None:
    usual, fast = Recorder(), Recorder(other)
    with caplog.at_level(logging.WARNING):
        run(shapes(usual, fast), *[(1, 64)] * 5)
    assert len(usual.batches) == 5
    assert len(fast.batches) == 1
    assert "other instances" in caplog.text


def test_rounding_is_no_other_answer() -> None:
    assert agree(RESULT, replace(RESULT, scores=RESULT.scores + 1e-3, boxes=RESULT.boxes + 0.1))


def test_batch_is_answered_where_memory_for_the_fast_way_runs_out() -> None:
    usual, fast = Recorder(), Recorder(error=torch.OutOfMemoryError("CUDA out of memory"))
    run(shapes(usual, fast), *[(1, 64)] * 4)
    assert len(usual.batches) == 4


def test_shapes_come_often_again_after_memory_ran_out() -> None:
    usual, fast = Recorder(), Recorder()
    runner = shapes(usual, fast)
    run(runner, *[(1, 64)] * 4)
    fast.error = torch.OutOfMemoryError("CUDA out of memory")
    run(runner, *[(2, 64)] * 3)
    fast.error = None
    usual.batches.clear()
    run(runner, (1, 64))
    assert usual.batches == [(1, 64)]


def test_other_error_of_the_fast_way_is_raised() -> None:
    usual, fast = Recorder(), Recorder(error=RuntimeError("device-side assert triggered"))
    with pytest.raises(RuntimeError, match="device-side"):
        run(shapes(usual, fast), *[(1, 64)] * 3)
