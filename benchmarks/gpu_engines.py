"""Measure the portable engine's executions on a GPU beside DefaultPredictor: a step of `gpu`.

Every contender takes turns with DefaultPredictor, or where there is none, with the eager execution
of single images in float32. A ratio is of neighbouring runs.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.engine import DETECTRON2_NAME, worker
from benchmarks.gpu_step import Child, ChildFailed, Row, StepFile, child, spread
from benchmarks.measure import ratio
from benchmarks.peers.contenders import DETECTRON2
from benchmarks.standard import standard_bundle
from pipeline.bundle.bundle import CONFIG_FILE, WEIGHTS_FILE
from pipeline.engines.base import Precision
from pipeline.engines.portable.execution import Execution

FOLDER = Path("out/benchmarks")
LOGS = FOLDER / "gpu"
IMAGES = 16  # of each run
ROUNDS = 5
BATCHES = (1, 2, 4, 8, 16)
_RUN_WITHIN_S = 60.0
_FIRST_WITHIN_S = 300.0  # loading or capturing

Baseline = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Contender:
    execution: Execution
    precision: Precision
    batches: tuple[int, ...]

    def command(self, bundle: Path, image: Path) -> list[str]:
        arguments = [str(bundle), str(image), self.execution, self.precision]
        return [sys.executable, "-m", "benchmarks.gpu_worker", *arguments]

    def __str__(self) -> str:
        return f"{self.execution}, {self.precision}"


_PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16")
_EXECUTIONS: tuple[Execution, ...] = ("eager", "static", "graphs")
CONTENDERS = tuple(
    Contender(execution, precision, BATCHES)
    for execution in _EXECUTIONS
    for precision in _PRECISIONS
)


def main() -> None:
    step = StepFile(Path(sys.argv[1]))
    bundle = standard_bundle(FOLDER, int8=False)
    image = sorted((bundle / "golden").glob("*.jpg"))[0]
    try:
        with baseline(bundle, image, step) as (name, run):
            for contender in CONTENDERS:
                measure(step, contender, contender.command(bundle, image), name, run)
    except ChildFailed as error:
        step.note(f"the baseline failed, so nothing was compared: {error}")


@contextmanager
def baseline(bundle: Path, image: Path, step: StepFile) -> Iterator[tuple[str, Baseline]]:
    """Yield the name of what contenders are compared with, and the seconds of its run.

    A run is IMAGES images from upright BGR images to pasted masks, one by one.
    """
    if python := os.environ.get(DETECTRON2):
        script = str(Path(__file__).parent / "peers" / "default_predictor.py")
        files = [str(bundle / CONFIG_FILE), str(bundle / WEIGHTS_FILE), str(image)]
        options = [str(os.cpu_count() or 1), "--device", "cuda", "--images", str(IMAGES)]
        with worker([python, script, *files, *options]) as ask:
            yield DETECTRON2_NAME, _checked(ask)
    else:
        step.note(f"{DETECTRON2_NAME} is skipped: {DETECTRON2} names no Python with Detectron2")
        eager = Contender("eager", "float32", (1,))
        with child(eager.command(bundle, image), LOGS / "baseline.log") as process:
            question = {"images": IMAGES, "batch": 1, "whole": True}
            process.ask(question, _FIRST_WITHIN_S)
            yield f"{eager}, one by one", lambda: process.ask(question, _RUN_WITHIN_S)["seconds"]


def _checked(ask: Baseline) -> Baseline:
    def run() -> float:
        try:
            return ask()
        except (RuntimeError, OSError) as error:
            raise ChildFailed(f"{DETECTRON2_NAME}: {error}") from error

    return run


def measure(
    step: StepFile, contender: Contender, command: Sequence[str], against: str, run: Baseline
) -> None:
    """Add a row for each batch size. Where the contender fails, add a note instead.

    Raise ChildFailed where the baseline does.
    """
    log = LOGS / f"{contender.execution}-{contender.precision}.log"
    with child(command, log) as process:
        for batch in contender.batches:
            try:
                first_s = _warm_up(process, batch)
                rounds = [_round(process, batch, run) for _ in range(ROUNDS)]
            except _ContenderFailed as error:
                step.note(f"{contender}, batches of {batch} and more: {error}")
                return
            step.add(**_row(contender, batch, first_s, against, rounds))


def _row(
    contender: Contender, batch: int, first_s: float, against: str, rounds: Sequence["_Round"]
) -> Row:
    faster = ratio([taken.base_s for taken in rounds], [taken.whole_s for taken in rounds])
    return {
        "execution": contender.execution,
        "precision": contender.precision,
        "batch": batch,
        "engine_ms": spread([taken.engine_s / IMAGES for taken in rounds]),
        "whole_ms": spread([taken.whole_s / IMAGES for taken in rounds]),
        "against": against,
        "ratio": str(faster),
        "ratio_median": faster.median,
        "first_s": round(first_s, 1),
        "gpu_gb": rounds[-1].gpu_gb,
        "rounds": [asdict(taken) for taken in rounds],
    }


@dataclass(frozen=True, slots=True)
class _Round:
    """Hold the seconds of IMAGES images: by the baseline, the contender, and its engine alone."""

    base_s: float
    whole_s: float
    engine_s: float
    gpu_gb: float | None


class _ContenderFailed(Exception):
    """Raised where the contender failed, and not the baseline."""


def _round(process: Child, batch: int, run: Baseline) -> _Round:
    base_s = run()
    whole = _ask(process, IMAGES, batch, whole=True)
    engine = _ask(process, IMAGES, batch, whole=False)
    return _Round(base_s, whole["seconds"], engine["seconds"], engine["gb"])


def _warm_up(process: Child, batch: int) -> float:
    """Return the seconds of the first batch, in which programs are captured."""
    first = _ask(process, batch, batch, whole=False, within_s=_FIRST_WITHIN_S)
    _ask(process, IMAGES, batch, whole=True)
    seconds: float = first["seconds"]
    return seconds


def _ask(
    process: Child, images: int, batch: int, *, whole: bool, within_s: float = _RUN_WITHIN_S
) -> Row:
    try:
        return process.ask({"images": images, "batch": batch, "whole": whole}, within_s)
    except ChildFailed as error:
        raise _ContenderFailed(str(error)) from error


if __name__ == "__main__":
    main()
