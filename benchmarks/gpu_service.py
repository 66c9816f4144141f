"""Load the whole service with its predictor on a GPU: a step of `gpu`.

`lesionserve up` runs the profile for a GPU, in which the stages are deployments of their own.
"""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path

from benchmarks.gpu_step import StepFile
from benchmarks.launch import launched
from benchmarks.load import Outcome, apply, form_request
from benchmarks.measure import percentile
from benchmarks.standard import standard_bundle
from cluster.paths import DEMO_BUNDLE
from serve_app.paths import ROOT

FOLDER = Path("out/benchmarks")
PROFILE = ROOT / "configs" / "serve" / "gpu.yaml"
CLIENTS = (1, 16, 48)
SECONDS = 8.0
_READY_WITHIN_S = 180.0
_WARM_UPS = 32


def main() -> None:
    step = StepFile(Path(sys.argv[1]))
    name = sys.argv[2]
    bundle = {"demo": lambda: DEMO_BUNDLE, "r50": lambda: standard_bundle(FOLDER, int8=False)}
    load(step, name, bundle[name]())


def load(step: StepFile, name: str, bundle: Path) -> None:
    """Add a row for each number of clients."""
    image = sorted((bundle / "golden").glob("*.jpg"))[0].read_bytes()
    with launched("--config", str(PROFILE), "--bundle", str(bundle)) as service:
        ready = service.await_ready(_READY_WITHIN_S)
        url = f"{ready.url}/predict/"
        request = form_request(url, {"X-API-Key": ready.key}, image)
        apply(url, repeat(request, _WARM_UPS), clients=8)
        for clients in CLIENTS:
            with gpu_use() as percents:
                outcome = apply(url, repeat(request), clients, SECONDS)
            step.add(
                bundle=name, clients=clients, **figures_of(outcome), gpu_percent=mean(percents)
            )


def figures_of(outcome: Outcome) -> dict[str, object]:
    latencies = outcome.latencies_ms
    enough = len(latencies) > 1
    return {
        "images_s": round(outcome.per_second, 1),
        "p50_ms": round(percentile(latencies, 50)) if enough else None,
        "p99_ms": round(percentile(latencies, 99)) if enough else None,
        "statuses": outcome.statuses,
    }


@contextmanager
def gpu_use() -> Iterator[list[int]]:
    """Yield a list that holds, after the block, the percent of each half second that a GPU worked.

    Without nvidia-smi it stays empty.
    """
    percents: list[int] = []
    if shutil.which("nvidia-smi") is None:
        yield percents
        return
    command = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    process = subprocess.Popen([*command, "-lms", "500"], stdout=subprocess.PIPE, text=True)
    try:
        yield percents
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
        percents += [int(line) for line in output.split() if line.isdecimal()]


def mean(percents: list[int]) -> int | None:
    return round(sum(percents) / len(percents)) if percents else None


if __name__ == "__main__":
    main()
