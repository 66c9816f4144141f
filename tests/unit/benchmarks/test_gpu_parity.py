from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import gpu_parity
from benchmarks.gpu_parity import Comparison, box_iou, compare, compare_run
from benchmarks.gpu_step import StepFile
from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.static import suppression
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances
from tests.parity.case import CASES, Case


@pytest.fixture(scope="module")
def case() -> Case:
    return next(case for case in CASES if case.folder.name == "r18")


@pytest.fixture
def engine(case: Case, tmp_path: Path) -> PortableEngine:
    return PortableEngine.open(case.config, case.weights(tmp_path), execution="static")


def test_static_engine_on_a_cpu_equals_detectron2(case: Case, engine: PortableEngine) -> None:
    comparison = compare(case, engine)
    assert (comparison.within, comparison.lost, comparison.eagerly) == (True, 0, 0)
    assert comparison.detections == sum(len(r["scores"]) for r in case.expected.values())
    assert comparison.box < 0.05
    assert comparison.mask_iou > 0.995


@pytest.mark.slow
def test_unsettled_results_are_counted(
    case: Case, engine: PortableEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppression, "ROUNDS", 1)
    comparison = compare(case, engine)
    assert (comparison.within, comparison.eagerly) == (True, len(case.expected))


@pytest.mark.slow
def test_wrong_answers_are_measured(case: Case, engine: PortableEngine) -> None:
    run = engine.run

    def moved(inputs: Sequence[ModelInput]) -> list[Instances]:
        return [
            replace(found, boxes=found.boxes + 0.1, scores=found.scores - 0.01)
            for found in run(inputs)
        ]

    engine.run = moved
    comparison = compare(case, engine)
    assert not comparison.within
    assert comparison.lost == 0
    assert comparison.box > 0.05
    assert comparison.score == pytest.approx(0.01, abs=1e-4)


@pytest.mark.slow
def test_lost_detections_are_counted(case: Case, engine: PortableEngine) -> None:
    run = engine.run
    engine.run = lambda inputs: [
        Instances(r.boxes[:0], r.scores[:0], r.classes[:0], r.masks[:0]) for r in run(inputs)
    ]
    comparison = compare(case, engine)
    assert comparison == Comparison(False, comparison.detections, comparison.detections)


@pytest.mark.slow
def test_run_in_process_of_its_own_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case
) -> None:
    monkeypatch.setattr(gpu_parity, "LOGS", tmp_path)
    monkeypatch.setattr(gpu_parity, "CASES", [case])
    step = StepFile(tmp_path / "step.json")
    compare_run(step, "static", "float32", "cpu")
    (row,) = step.result.rows
    assert (row["execution"], row["precision"], row["case"]) == ("static", "float32", "r18")
    assert (row["within"], row["lost"], row["eagerly"]) == (True, 0, 0)
    assert step.result.notes == []


@pytest.mark.slow
def test_failing_execution_is_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_parity, "LOGS", tmp_path)
    step = StepFile(tmp_path / "step.json")
    compare_run(step, "graphs", "float32")  # here without a GPU
    assert step.result.rows == []
    assert len(step.result.notes) == 1
    assert step.result.notes[0].startswith("parity of graphs, float32, from r101_agnostic on: ")


def test_iou_of_boxes() -> None:
    assert box_iou((0, 0, 10, 10), (0, 0, 10, 5)) == 0.5
    assert box_iou((0, 0, 10, 10), (20, 0, 30, 5)) == 0.0
    assert box_iou((5, 5, 5, 5), (5, 5, 5, 5)) == 0.0
