"""Measure the postprocessing of 92 instances on an image of 3024x4032 pixels.

Each run is a process of its own: it decodes the image, answers a small one to load its libraries,
and only then are the seconds and the growth of its resident memory taken. Beside it stands what
most servers do: paste into an N x H x W array, encode each full mask. Its answers are compared.
"""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from benchmarks.measure import Spread, ratio
from benchmarks.report import Figure, Result
from pipeline.image.decode import DecodedImage, decode
from pipeline.instances import Instances
from pipeline.postprocess import postprocess
from pipeline.schemas import Detection, PredictOptions
from serve_app.paths import ROOT

HEIGHT, WIDTH = 4032, 3024
INPUT_SHAPE = 1067, 800  # after the resize to 800 pixels at the shorter edge
COUNT, CELLS, SEED = 92, 28, 20261125
WORKLOADS = ("blobs", "noise", "large")
WANTED_SECONDS, WANTED_MB = 0.5, 300
ROUNDS = 5

Ways = dict[str, Callable[[DecodedImage, Instances], list[Any]]]


def run() -> Result:
    seconds: dict[str, dict[str, list[float]]] = {}
    megabytes: dict[str, dict[str, float]] = {}
    for workload in WORKLOADS:
        runs = _rounds(workload, ROUNDS if workload == "blobs" else 2)
        assert len({run["sha256"] for run in runs["rle"] + runs["peer rle"]}) == 1
        seconds[workload] = {way: [run["seconds"] for run in runs[way]] for way in runs}
        megabytes[workload] = {way: max(run["megabytes"] for run in runs[way]) for way in runs}
    blobs = seconds["blobs"]
    return Result(
        "masks",
        [_figure(way, blobs[way], megabytes["blobs"][way]) for way in ("rle", "polygon")],
        {
            "seconds": seconds,
            "megabytes": megabytes,
            "peer to ours": {
                workload: {
                    way: str(ratio(seconds[workload][f"peer {way}"], seconds[workload][way]))
                    for way in ("rle", "polygon")
                }
                for workload in WORKLOADS
            },
        },
    )


def _figure(way: str, seconds: list[float], megabytes: float) -> Figure:
    spread = Spread.of(seconds)
    return Figure(
        f"{COUNT} masks of {WIDTH}x{HEIGHT} to {way}",
        f"< {WANTED_SECONDS} s, < {WANTED_MB} MB",
        f"{spread} s, {megabytes:.0f} MB",
        spread.median < WANTED_SECONDS and megabytes < WANTED_MB,
    )


def _rounds(workload: str, rounds: int) -> dict[str, list[dict[str, Any]]]:
    from benchmarks.standard import (
        jpeg,
        scene,
    )  # imports torch, which the runs themselves do without

    picture = ROOT / "out" / "benchmarks" / "portrait.jpg"
    if not picture.exists():
        picture.parent.mkdir(parents=True, exist_ok=True)
        small = scene(1, WIDTH // 4, HEIGHT // 4)
        picture.write_bytes(jpeg(cv2.resize(small, (WIDTH, HEIGHT))))
    runs: dict[str, list[dict[str, Any]]] = {way: [] for way in _WAYS}
    for _ in range(rounds):
        for way in _WAYS:
            command = [sys.executable, "-m", "benchmarks.masks", str(picture), workload, way]
            answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
            runs[way].append(json.loads(answer.stdout))
    return runs


def instances(workload: str) -> Instances:
    """Return the instances of a workload.

    blobs: smooth masks, as a mask head's. noise: the same boxes, each cell by chance. large: blobs,
    all of them in boxes of a third of the picture and more.
    """
    rng = np.random.default_rng(SEED)
    shares = rng.uniform(0.33, 0.8, COUNT)  # of the picture's area
    if workload != "large":
        shares[10:] = np.exp(rng.uniform(np.log(1e-4), np.log(0.25), COUNT - 10))
    ratios = np.exp(rng.uniform(-0.2, 0.2, COUNT))
    sides = np.sqrt(shares)[:, None] * np.stack((ratios, 1 / ratios), axis=1)
    sides = np.minimum(sides, 1) * (INPUT_SHAPE[1], INPUT_SHAPE[0])
    corners = rng.random((COUNT, 2)) * ((INPUT_SHAPE[1], INPUT_SHAPE[0]) - sides)
    if workload == "noise":
        masks = rng.random((COUNT, CELLS, CELLS))
    else:
        masks = np.stack([blob(rng) for _ in range(COUNT)])
    return Instances(
        boxes=np.hstack((corners, corners + sides)).astype(np.float32),
        scores=np.linspace(0.99, 0.5, COUNT, dtype=np.float32),
        classes=rng.integers(0, 3, COUNT),
        masks=masks.astype(np.float32),
    )


def blob(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return CELLS x CELLS probabilities of a lesion that nearly fills its box, with soft edges."""
    y, x = (np.mgrid[:CELLS, :CELLS] + 0.5) / CELLS * 2 - 1
    angle, distance = np.arctan2(y, x), np.hypot(x, y)
    outline = np.full_like(angle, 0.85)
    for wave in range(2, 7):
        outline += rng.normal(0, 0.12 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    doubt = cv2.GaussianBlur(rng.normal(0, 2, (CELLS, CELLS)), (0, 0), 2)
    return 1 / (1 + np.exp(-(25 * (outline - distance) + doubt)))


def _ours(masks: str, source: DecodedImage, answer: Instances) -> list[Detection]:
    options = PredictOptions(masks=masks, visualization="none")
    return postprocess(source, INPUT_SHAPE, answer, ("a", "b", "c"), options).detections


def _peer_masks(source: DecodedImage, answer: Instances) -> NDArray[np.bool_]:
    """Return (N, H, W), as Detectron2's `paste_masks_in_image` does on a CPU (mask_ops.py)."""
    import torch
    from torch.nn import functional as F

    height, width = source.info.height, source.info.width
    scale = np.array([width / INPUT_SHAPE[1], height / INPUT_SHAPE[0]] * 2, dtype=np.float32)
    boxes = torch.from_numpy((answer.boxes * scale).clip(0, np.float32([width, height] * 2)))
    pasted = torch.zeros((len(answer), height, width), dtype=torch.bool)
    assert answer.masks is not None
    for mask, box, image in zip(torch.from_numpy(answer.masks), boxes, pasted, strict=True):
        x1, y1 = (box[:2].floor() - 1).clamp(min=0).int().tolist()
        x2, y2 = (box[2:].ceil() + 1).int().tolist()
        x = torch.arange(x1, min(x2, width), dtype=torch.float32) + 0.5
        y = torch.arange(y1, min(y2, height), dtype=torch.float32) + 0.5
        x = (x - box[0]) / (box[2] - box[0]) * 2 - 1
        y = (y - box[1]) / (box[3] - box[1]) * 2 - 1
        grid = torch.stack((x.expand(len(y), -1), y[:, None].expand(-1, len(x))), dim=2)
        values = F.grid_sample(mask[None, None], grid[None], align_corners=False)
        image[y1 : y1 + len(y), x1 : x1 + len(x)] = values[0, 0] >= 0.5
    return pasted.numpy()


def _peer_rle(source: DecodedImage, answer: Instances) -> list[dict[str, Any]]:
    from pycocotools import mask as coco

    pasted = _peer_masks(source, answer)
    return [coco.encode(np.asfortranarray(mask.view(np.uint8))) for mask in pasted]


def _peer_polygon(source: DecodedImage, answer: Instances) -> list[Any]:
    """Return outlines through the centres of the border's pixels, without holes.

    These are not the same pixels.
    """
    pasted = _peer_masks(source, answer)
    outlines = (
        cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]
        for mask in pasted
    )
    return [[loop.astype(float).ravel().tolist() for loop in loops] for loops in outlines]


_WAYS: Ways = {
    "rle": lambda source, answer: _ours("rle", source, answer),
    "peer rle": _peer_rle,
    "polygon": lambda source, answer: _ours("polygon", source, answer),
    "peer polygon": _peer_polygon,
}


def _resident(peak: bool = False) -> float:
    """Return the megabytes of this process: now, or the peak since `clear_refs` was written."""
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name)) / 1024


def _digest(answers: list[Any]) -> str:
    counts = [
        answer.mask.counts.encode() if isinstance(answer, Detection) else answer["counts"]
        for answer in answers
    ]
    return hashlib.sha256(b"\0".join(counts)).hexdigest()


def _measure(picture: Path, workload: str, way: str) -> dict[str, Any]:
    source, answer = decode(picture.read_bytes()), instances(workload)
    assert answer.masks is not None
    small = Instances(answer.boxes[-2:], answer.scores[-2:], answer.classes[-2:], answer.masks[-2:])
    _WAYS[way](source, small)
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before, started = _resident(), perf_counter()
    answers = _WAYS[way](source, answer)
    seconds = perf_counter() - started
    return {
        "seconds": seconds,
        "megabytes": _resident(peak=True) - before,
        "sha256": _digest(answers) if way.endswith("rle") else None,
    }


if __name__ == "__main__":
    print(json.dumps(_measure(Path(sys.argv[1]), *sys.argv[2:])))
