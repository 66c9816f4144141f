"""Compare the engines with Detectron2's DefaultPredictor and with the processor's arithmetic.

Each runs in a process of its own, and the processes take turns. DefaultPredictor needs Detectron2:
without LESIONSERVE_DETECTRON2_PYTHON, an interpreter that has it, it is skipped.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measure import Spread, alternate, ratio
from benchmarks.peers.contenders import DETECTRON2
from benchmarks.report import NO_TARGET, Figure, Result
from benchmarks.standard import standard_bundle
from pipeline.bundle.bundle import CONFIG_FILE, QUANTIZED_FOLDER, WEIGHTS_FILE, open_bundle
from pipeline.engines.portable.engine import PortableEngine
from pipeline.image.decode import decode
from serve_app.paths import ROOT

FOLDER = Path("out/benchmarks")
DEMO = ROOT / "weights" / "demo"
THREADS = os.cpu_count() or 1
DETECTRON2_NAME = "DefaultPredictor"
WANTED = {"portable float32": 1.6, "openvino float32": 1.6, "openvino int8": 3.0}
RUNS = ("portable float32", "openvino float32", "openvino bfloat16", "openvino int8")


def run() -> Result:
    standard = standard_bundle(FOLDER)
    workloads = {"R50-FPN": (standard, 7), "demo": (DEMO, 15)}
    figures: list[Figure] = []
    details: dict[str, Any] = {"threads": THREADS}
    for name, (bundle, rounds) in workloads.items():
        seconds = measure(bundle, rounds)
        arithmetic = limit(bundle)
        details[name] = {"seconds": seconds, **arithmetic}
        figures += compare(name, seconds)
        figures += fractions(name, seconds, arithmetic)
    return Result("engine", figures, details)


def measure(bundle: Path, rounds: int) -> dict[str, list[float]]:
    """Return the seconds an image of each contender, on the bundle's first golden image."""
    image = sorted((bundle / "golden").glob("*.jpg"))[0]
    with ExitStack() as stack:
        contenders = {
            name: stack.enter_context(worker(command))
            for name, command in commands(bundle, image).items()
        }
        return alternate(contenders, rounds, warm_up=2)


def commands(bundle: Path, image: Path) -> dict[str, list[str]]:
    contenders: dict[str, list[str]] = {}
    if python := os.environ.get(DETECTRON2):
        script = str(Path(__file__).parent / "peers" / "default_predictor.py")
        files = [str(bundle / CONFIG_FILE), str(bundle / WEIGHTS_FILE), str(image), str(THREADS)]
        contenders[DETECTRON2_NAME] = [python, script, *files]
    else:
        print(f"benchmarks: {DETECTRON2} names no Detectron2: skipped", file=sys.stderr)
    for name in RUNS:
        if name.endswith("int8") and not (bundle / QUANTIZED_FOLDER).exists():
            continue
        command = [sys.executable, "-m", "benchmarks.worker", str(bundle), str(image)]
        arguments = [*name.split(), "--threads", str(THREADS)]
        contenders[name] = [*command, *arguments]
    return contenders


@contextmanager
def worker(command: Sequence[str]) -> Iterator[Any]:
    """Start a benchmark process.

    Yield a function that makes it do one run and returns the seconds that the run took.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def ask() -> float:
        print(file=process.stdin, flush=True)
        line = process.stdout.readline()
        if not line:
            raise RuntimeError(f"{command[:4]} ended; what it printed stands above")
        return float(line)

    try:
        while process.stdout.readline() not in ("ready\n", ""):
            pass  # what a library prints as it is imported
        yield ask
    finally:
        process.stdin.close()
        process.wait(timeout=60)


def limit(bundle: Path) -> dict[str, float]:
    """Return the floating-point operations of one image, and those a second of a large product."""
    opened = open_bundle(bundle)
    engine = opened.load_engine("portable", "cpu")
    assert isinstance(engine, PortableEngine)
    image = sorted((bundle / "golden").glob("*.jpg"))[0]
    pixels = torch.tensor(opened.resize(decode(image.read_bytes()).pixels).pixels)
    torch.set_num_threads(THREADS)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        engine.model([pixels])
    return {
        "operations": float(counter.get_total_flops()),
        "operations_per_second": _matrix_rate(),
    }


def _matrix_rate() -> float:
    """Return the float32 operations a second in one large product.

    By the faster of PyTorch's two libraries: MKL for matrices and oneDNN for a convolution of 1x1,
    which is a product. On an AMD processor MKL reaches half of what oneDNN does.
    """
    size = 4096
    a, b = torch.randn(size, size), torch.randn(size, size)
    side = 64  # 64 x 64 pixels are 4096 rows
    pixels = torch.randn(1, size, side, side).to(memory_format=torch.channels_last)
    kernel = torch.randn(size, size, 1, 1)
    with torch.inference_mode():
        seconds = alternate(
            {
                "MKL": lambda: a @ b,
                "oneDNN": lambda: torch.nn.functional.conv2d(pixels, kernel),
            },
            5,
        )
    return 2 * size**3 / min(map(min, seconds.values()))


def compare(workload: str, seconds: dict[str, list[float]]) -> list[Figure]:
    base = seconds.get(DETECTRON2_NAME)
    figures = []
    for name in RUNS:
        wanted = WANTED.get(name)
        target = f"{workload}: {name} / {DETECTRON2_NAME}, images/s"
        asked = NO_TARGET if wanted is None else f">= {wanted}"
        if name not in seconds or base is None:
            figures.append(Figure(target, asked, "not in this run", None))
            continue
        faster = ratio(base, seconds[name])
        met = None if wanted is None else faster.median >= wanted
        ms = 1000 * Spread.of(seconds[name]).median
        figures.append(Figure(target, asked, f"{faster}; {ms:.1f} ms", met))
    return figures


def fractions(
    workload: str, seconds: dict[str, list[float]], arithmetic: dict[str, float]
) -> list[Figure]:
    """Return how much of the arithmetic limit is reached in float32."""
    least = arithmetic["operations"] / arithmetic["operations_per_second"]
    rate = arithmetic["operations_per_second"] / 1e9
    return [
        Figure(
            f"{workload}: {name}, of the float32 matrix rate",
            NO_TARGET,
            f"{least / Spread.of(seconds[name]).median:.2f} of {rate:.0f} GFLOP/s",
            None,
        )
        for name in (DETECTRON2_NAME, "portable float32", "openvino float32")
        if name in seconds
    ]
