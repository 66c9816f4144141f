from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks import gpu_engines
from benchmarks.gpu_engines import IMAGES, ROUNDS, Contender, measure
from benchmarks.gpu_step import ChildFailed, Row, StepFile

CONTENDER = Contender("graphs", "float32", (1, 2, 4))


class Worker:
    """A worker that takes 4 s for the images of a whole run and 2 s for its engine's part."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.questions: list[Row] = []

    def ask(self, question: Row, within_s: float) -> Row:
        self.questions.append(question)
        if question["batch"] > self.most:
            raise ChildFailed("OutOfMemory: no memory")
        return {"seconds": 4.0 if question["whole"] else 2.0, "gb": 1.5 * question["batch"]}


@contextmanager
def worker_of_four(*_: object) -> Iterator[Worker]:
    yield Worker(most=4)


def run(worker: Worker, step: StepFile, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def child(command: list[str], log: Path) -> Iterator[Worker]:
        yield worker

    monkeypatch.setattr(gpu_engines, "child", child)
    measure(step, CONTENDER, [], "DefaultPredictor", lambda: 16.0)


def test_row_has_the_time_of_an_image_and_the_ratio(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = StepFile(tmp_path / "step.json")
    run(Worker(most=4), step, monkeypatch)
    assert [row["batch"] for row in step.result.rows] == [1, 2, 4]
    row = step.result.rows[-1]
    assert row["engine_ms"] == "125 (125 to 125)"  # 2 s for 16 images
    assert row["whole_ms"] == "250 (250 to 250)"
    assert (row["ratio"], row["ratio_median"]) == ("4 (4 to 4)", 4.0)
    assert (row["against"], row["gpu_gb"]) == ("DefaultPredictor", 6.0)
    assert len(row["rounds"]) == ROUNDS
    assert step.result.notes == []


def test_batch_without_memory_keeps_smaller_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = StepFile(tmp_path / "step.json")
    run(Worker(most=2), step, monkeypatch)
    assert [row["batch"] for row in step.result.rows] == [1, 2]
    assert step.result.notes == ["graphs, float32, batches of 4 and more: OutOfMemory: no memory"]


def test_first_batch_is_not_part_of_the_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = Worker(most=4)
    run(worker, StepFile(tmp_path / "step.json"), monkeypatch)
    of_batch_4 = [question for question in worker.questions if question["batch"] == 4]
    assert [(q["images"], q["whole"]) for q in of_batch_4[:4]] == [
        (4, False),
        (IMAGES, True),
        (IMAGES, True),
        (IMAGES, False),
    ]
    assert len(of_batch_4) == 2 + 2 * ROUNDS


def test_failure_of_baseline_is_none_of_the_contender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_engines, "child", worker_of_four)
    step = StepFile(tmp_path / "step.json")

    def failing() -> float:
        raise ChildFailed("DefaultPredictor: it ended")

    with pytest.raises(ChildFailed, match="DefaultPredictor"):
        measure(step, CONTENDER, [], "DefaultPredictor", failing)
    assert step.result.rows == []


def test_defaultpredictor_is_skipped_with_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(gpu_engines.DETECTRON2, raising=False)
    monkeypatch.setattr(gpu_engines, "child", worker_of_four)
    step = StepFile(tmp_path / "step.json")
    with gpu_engines.baseline(tmp_path, tmp_path / "image.jpg", step) as (name, seconds):
        assert (name, seconds()) == ("eager, float32, one by one", 4.0)
    assert step.result.notes == [
        "DefaultPredictor is skipped: LESIONSERVE_DETECTRON2_PYTHON names no Python with Detectron2"
    ]
