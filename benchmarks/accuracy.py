"""Measure COCO's average precision in float32, bfloat16 and int8, on the demo's held-out images."""

import subprocess
import sys
from pathlib import Path

from pycocotools.coco import COCO

from benchmarks.report import Figure, Result
from pipeline.bundle.bundle import open_bundle
from pipeline.engines.base import EngineName, Precision
from pipeline.schemas import PredictOptions
from serve_app.paths import ROOT
from weights.recipe.evaluate import average_precision, to_results

BUNDLE = ROOT / "weights" / "demo"
OUT = Path("out/benchmarks")
IMAGES = 200
TOLERANCE = 0.01
OPTIONS = PredictOptions(masks="rle", visualization="none")
RUNS: tuple[tuple[EngineName, Precision], ...] = (
    ("portable", "float32"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)


def run() -> Result:
    data = held_out(OUT)
    scores = {f"{engine} {precision}": score(data, engine, precision) for engine, precision in RUNS}
    base = scores["portable float32"]
    figures = [
        _figure(f"mask AP, {name}", figure["segm"]["AP"] - base["segm"]["AP"])
        for name, figure in scores.items()
        if name != "portable float32"
    ]
    return Result("accuracy", figures, {"images": IMAGES, "average_precision": scores})


def held_out(folder: Path) -> Path:
    """Return the folder of images and annotations, written on the first call (about a minute)."""
    data = folder / "heldout"
    if not (data / "annotations.json").exists():
        command = [sys.executable, "-m", "weights.recipe.dataset", "--split", "heldout"]
        command += ["--images", str(IMAGES), "--out", str(data.resolve())]
        subprocess.run(command, cwd=ROOT, check=True)
    return data


def score(data: Path, engine: EngineName, precision: Precision) -> dict[str, dict[str, float]]:
    """Return box ("bbox") and mask ("segm") AP of the demo bundle, by the recipe's `evaluate`."""
    truth = COCO(str(data / "annotations.json"))
    bundle = open_bundle(BUNDLE)
    predictor = bundle.predictor(bundle.load_engine(engine, "cpu", precision))
    results = []
    for entry in truth.dataset["images"]:
        image = (data / "images" / entry["file_name"]).read_bytes()
        answer = predictor(image, OPTIONS)
        results += to_results(entry["id"], answer.model_dump())
    return {kind: average_precision(truth, results, kind) for kind in ("bbox", "segm")}


def _figure(target: str, difference: float) -> Figure:
    return Figure(
        target,
        f"within {TOLERANCE} of float32",
        f"{difference:+.4f}",
        abs(difference) <= TOLERANCE,
    )
