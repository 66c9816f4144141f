"""Compare the portable engine on a GPU with Detectron2's recorded answers: a step of `gpu`.

The cases are those of tests/parity. Each execution runs in a process of its own.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.gpu_step import ChildFailed, Row, StepFile, answer_questions, child
from pipeline.engines.base import Precision
from pipeline.engines.portable.engine import PortableEngine
from pipeline.engines.portable.execution import Execution
from pipeline.engines.portable.static.runner import StaticRunner
from pipeline.image.decode import DecodedImage
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances
from pipeline.postprocess import postprocess
from pipeline.schemas import Detection, PredictOptions
from tests.parity.case import CASES, Case, assert_expected, mask_iou

LOGS = Path("out/benchmarks/gpu")
RUNS: tuple[tuple[Execution, Precision], ...] = (
    ("eager", "float32"),
    ("static", "float32"),
    ("graphs", "float32"),
    ("static", "bfloat16"),
)
_WITHIN_S = 120.0
_SAME_BOX = 0.5  # IoU


@dataclass(slots=True)
class Comparison:
    """Hold the largest differences between the answers to a case's images and Detectron2's.

    within: whether all are within the tolerances of tests/parity. lost: detections without one of
    the same class with at least half of the same box. box, score, mask_iou: the largest
    differences of the others, in pixels of the source image and probabilities, and the least IoU.
    eagerly: images whose result the fixed shapes did not settle.
    """

    within: bool = True
    detections: int = 0
    lost: int = 0
    box: float = 0.0
    score: float = 0.0
    mask_iou: float = 1.0
    eagerly: int = 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path)
    step = StepFile(parser.parse_args().result)
    for execution, precision in RUNS:
        compare_run(step, execution, precision)


def compare_run(
    step: StepFile, execution: Execution, precision: Precision, device: str = "cuda"
) -> None:
    """Add a row for each case. Where the engine fails, add a note instead."""
    command = [sys.executable, "-c", "from benchmarks.gpu_parity import answer; answer()"]
    log = LOGS / f"parity-{execution}-{precision}.log"
    with child([*command, execution, precision, device], log) as process:
        for name in (case.folder.name for case in CASES):
            try:
                row = process.ask({"case": name}, _WITHIN_S)
            except ChildFailed as error:
                step.note(f"parity of {execution}, {precision}, from {name} on: {error}")
                return
            step.add(execution=execution, precision=precision, case=name, **row)


def answer() -> None:
    """Read names of cases, and print the comparison of each.

    The arguments of the process are an execution, a precision and a device.
    """
    execution, precision, device = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:

        def compared(question: Row) -> Row:
            case = next(case for case in CASES if case.folder.name == question["case"])
            weights = case.weights(Path(folder))
            engine = PortableEngine.open(case.config, weights, device, precision, execution)
            return asdict(compare(case, engine))

        answer_questions(compared)


def compare(case: Case, engine: PortableEngine) -> Comparison:
    """Return how far the engine's answers are from the recorded ones."""
    comparison = Comparison()
    unsettled = _count_eager(engine)
    for name, (source, model_input) in case.inputs().items():
        (instances,) = engine.predict([model_input])
        _compare_image(comparison, case.expected[name], source, model_input, instances)
    comparison.eagerly = len(unsettled)
    return comparison


def _count_eager(engine: PortableEngine) -> list[ModelInput]:
    """Return a list that will hold the inputs that a static engine runs eagerly."""
    inputs: list[ModelInput] = []
    runner = engine.run
    if isinstance(runner, StaticRunner):
        eager = runner.eager

        def counted(unsettled: Sequence[ModelInput]) -> list[Instances]:
            inputs.extend(unsettled)
            return eager(unsettled)

        runner.eager = counted
    return inputs


def _compare_image(
    comparison: Comparison,
    expected: dict[str, Any],
    source: DecodedImage,
    model_input: ModelInput,
    instances: Instances,
) -> None:
    try:
        assert_expected(expected, source, model_input, instances)
    except AssertionError:
        comparison.within = False
    shape = model_input.pixels.shape
    names = [str(i) for i in range(100)]
    options = PredictOptions(masks="rle", visualization="none", score_threshold=None)
    actual = postprocess(source, (shape[0], shape[1]), instances, names, options).detections
    for number, box in enumerate(expected["boxes"]):
        comparison.detections += 1
        same_class = [d for d in actual if d.class_id == expected["classes"][number]]
        nearest = max(same_class, key=lambda d: box_iou(d.box, box), default=None)
        if nearest is None or box_iou(nearest.box, box) < _SAME_BOX:
            comparison.lost += 1
            continue
        mask = expected["masks"] and expected["masks"][number]
        _compare_detection(comparison, nearest, box, expected["scores"][number], mask)


def _compare_detection(
    comparison: Comparison,
    detection: Detection,
    box: Sequence[float],
    score: float,
    mask: dict[str, Any] | None,
) -> None:
    apart = max(abs(a - b) for a, b in zip(detection.box, box, strict=True))
    comparison.box = max(comparison.box, apart)
    comparison.score = max(comparison.score, abs(detection.score - score))
    if mask is not None:
        comparison.mask_iou = min(comparison.mask_iou, mask_iou(detection, mask))


def box_iou(left: Sequence[float], right: Sequence[float]) -> float:
    """Return the intersection over union of two XYXY boxes."""
    width = min(left[2], right[2]) - max(left[0], right[0])
    height = min(left[3], right[3]) - max(left[1], right[1])
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (left, right)]
    union = sum(areas) - shared
    return shared / union if union else 0.0


if __name__ == "__main__":
    main()
