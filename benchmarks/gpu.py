"""Compare the portable engine on a GPU with Detectron2's DefaultPredictor on the same GPU.

Each runs in a process of its own, and the processes take turns. DefaultPredictor takes one image at
a time. Ours also takes batches, as large as the profile for a GPU allows, and resizes and pastes
images beside the model, as the service does. DefaultPredictor needs Detectron2: without
LESIONSERVE_DETECTRON2_PYTHON, an interpreter that has it, it is skipped.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import torch
import yaml

from benchmarks.engine import DETECTRON2_NAME, worker
from benchmarks.measure import Spread, alternate, ratio
from benchmarks.peers.contenders import DETECTRON2
from benchmarks.report import NO_TARGET, Figure, Result
from benchmarks.standard import standard_bundle
from pipeline.bundle.bundle import CONFIG_FILE, WEIGHTS_FILE
from serve_app.paths import ROOT

FOLDER = Path("out/benchmarks")
PROFILE = ROOT / "configs" / "serve" / "gpu.yaml"
THREADS = os.cpu_count() or 1
IMAGES = 32  # of each run
ROUNDS = 8
WANTED = 4.0
# The precision, and whether images are batched.
RUNS = {
    "float32, one by one": ("float32", False),
    "float32": ("float32", True),
    "bfloat16, one by one": ("bfloat16", False),
    "bfloat16": ("bfloat16", True),
}


def run() -> Result:
    if not torch.cuda.is_available():
        print("benchmarks: PyTorch finds no GPU: skipped", file=sys.stderr)
        return Result("gpu", figures({}))
    seconds = measure(standard_bundle(FOLDER, int8=False))
    details = {"gpu": gpu(), "images": IMAGES, "batch": batch_size(), "seconds": seconds}
    return Result("gpu", figures(seconds), details)


def measure(bundle: Path) -> dict[str, list[float]]:
    """Return the seconds an image of each contender, on the bundle's first golden image."""
    image = sorted((bundle / "golden").glob("*.jpg"))[0]
    with ExitStack() as stack:
        contenders = {
            name: stack.enter_context(worker(command))
            for name, command in commands(bundle, image).items()
        }
        runs = alternate(contenders, ROUNDS, warm_up=2)
    return {name: [took / IMAGES for took in seconds] for name, seconds in runs.items()}


def commands(bundle: Path, image: Path) -> dict[str, list[str]]:
    contenders: dict[str, list[str]] = {}
    common = ["--device", "cuda", "--images", str(IMAGES)]
    if python := os.environ.get(DETECTRON2):
        script = str(Path(__file__).parent / "peers" / "default_predictor.py")
        files = [str(bundle / CONFIG_FILE), str(bundle / WEIGHTS_FILE), str(image), str(THREADS)]
        contenders[DETECTRON2_NAME] = [python, script, *files, *common]
    else:
        print(f"benchmarks: {DETECTRON2} names no Detectron2: skipped", file=sys.stderr)
    for name, (precision, is_batched) in RUNS.items():
        command = [sys.executable, "-m", "benchmarks.worker", str(bundle), str(image), "portable"]
        size = batch_size() if is_batched else 1
        arguments = [precision, "--threads", str(THREADS), "--batch", str(size)]
        contenders[name] = [*command, *arguments, *common]
    return contenders


def batch_size() -> int:
    """Return the largest batch of the profile for a GPU."""
    profile = yaml.safe_load(PROFILE.read_text())
    size: int = profile["applications"][0]["args"]["model"]["max_batch_size"]
    return size


def figures(seconds: Mapping[str, list[float]]) -> list[Figure]:
    return [figure(name, seconds) for name in RUNS]


def figure(name: str, seconds: Mapping[str, list[float]]) -> Figure:
    target = f"2 R50-FPN on a GPU: portable {name} / {DETECTRON2_NAME}, images/s"
    wanted = f">= {WANTED:g}" if RUNS[name][1] else NO_TARGET
    if name not in seconds:
        return Figure(target, wanted, "not in this run", None)
    ms = f"{1000 * Spread.of(seconds[name]).median:.2f} ms"
    if DETECTRON2_NAME not in seconds:
        return Figure(target, wanted, ms, None)
    faster = ratio(seconds[DETECTRON2_NAME], seconds[name])
    met = faster.median >= WANTED if RUNS[name][1] else None
    return Figure(target, wanted, f"{faster}; {ms}", met)


def gpu() -> str:
    """Return the name and the driver of the GPU."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True, check=True).stdout.strip()
