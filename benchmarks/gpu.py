"""Measure everything on a GPU: parity, the portable engine beside DefaultPredictor, the service.

Each step is a process of its own, whose failure loses no result of another. What was measured so
far stands in `out/benchmarks/gpu.json` and `gpu.md`. DefaultPredictor needs Detectron2: without
LESIONSERVE_DETECTRON2_PYTHON, an interpreter that has it, it is skipped. On a machine without a GPU
all is skipped. `python -m benchmarks.gpu STEP…` runs some of the steps.
"""

import argparse
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from benchmarks.gpu_report import figures, markdown
from benchmarks.gpu_step import StepResult
from benchmarks.report import Result, print_table

FOLDER = Path("out/benchmarks")
_STOP_WITHIN_S = 90.0


@dataclass(frozen=True, slots=True)
class Step:
    """Describe a command that runs a module of this package and writes its result to a file."""

    module: str
    arguments: tuple[str, ...]
    within_s: float

    def command(self, result: Path) -> list[str]:
        return [sys.executable, "-m", f"benchmarks.{self.module}", str(result), *self.arguments]


STEPS = {
    "parity": Step("gpu_parity", (), 1800),
    "engines": Step("gpu_engines", (), 3600),
    "service-demo": Step("gpu_service", ("demo",), 600),
    "service-r50": Step("gpu_service", ("r50",), 900),
}


def run(steps: Sequence[str] = tuple(STEPS)) -> Result:
    if not torch.cuda.is_available():
        print("benchmarks: PyTorch finds no GPU: skipped", file=sys.stderr)
        return Result("gpu", figures({}))
    results: dict[str, StepResult] = {}
    result = Result("gpu", [])
    for name in steps:
        results[name] = run_step(STEPS[name], FOLDER / "gpu" / f"{name}.json")
        result = report(results)
    return result


def run_step(step: Step, file: Path) -> StepResult:
    """Return what the step measured, with a note where it did not come to its end."""
    file.unlink(missing_ok=True)
    process = subprocess.Popen(
        step.command(file),
        # Where a shell runs this in the background, SIGINT is ignored, and that is inherited.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    try:
        code = process.wait(step.within_s)
        failure = f"{step.module} ended with exit code {code}; see what it printed" if code else ""
    except subprocess.TimeoutExpired:
        _stop(process)
        failure = f"{step.module} was stopped after {step.within_s:g} s"
    result = StepResult.read(file)
    if failure:
        result.notes.append(failure)
    return result


def report(results: dict[str, StepResult]) -> Result:
    """Write what was measured so far as JSON and Markdown, and return it."""
    details = {"gpu": gpu(), "steps": {name: asdict(step) for name, step in results.items()}}
    result = Result("gpu", figures(results), details)
    result.write(FOLDER)
    (FOLDER / "gpu.md").write_text(markdown(details["gpu"], results))
    return result


def gpu() -> str:
    """Return the name and the driver of the GPU, and the version of PyTorch."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    try:
        name = subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        name = torch.cuda.get_device_name()
    return f"{name}; PyTorch {torch.__version__}"


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt the process, so that it ends what it started, and kill it if it does not end."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}")
    steps = parser.parse_args().steps
    if unknown := set(steps) - set(STEPS):
        parser.error(f"no such step: {', '.join(sorted(unknown))}")
    print_table([run(steps or tuple(STEPS))])


if __name__ == "__main__":
    main()
