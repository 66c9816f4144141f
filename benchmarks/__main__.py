"""Side by side, alternating, as ratios: `make bench`. Results live in RESULTS.md."""

import argparse
import json
import platform
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import torch
from rich.console import Console
from rich.table import Table

from pipeline.bundle import open_bundle
from pipeline.decode import decode
from pipeline.errors import EngineUnavailable
from pipeline.schemas import PredictOptions

ROOT = Path(__file__).resolve().parent.parent
OPTIONS = PredictOptions()

Run = Callable[[], object]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--bundle", type=Path, default=ROOT / "weights" / "demo")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    arguments = parser.parse_args()
    contenders = build_contenders(arguments.bundle)
    times = measure(contenders, arguments.rounds)
    print_table(times)
    if arguments.json:
        machine = {"python": platform.python_version(), "torch": torch.__version__}
        arguments.json.write_text(json.dumps({"machine": machine, "seconds": times}, indent=1))


def build_contenders(path: Path) -> dict[str, Run]:
    """Each runs the bundle's first golden image once. Detectron2 takes part where it is there."""
    bundle = open_bundle(path)
    image = sorted((path / "golden").glob("*.jpg"))[0].read_bytes()
    engine = bundle.load_engine("portable")
    predictor = bundle.predictor(engine)
    model_input = bundle.resize(decode(image).pixels)
    contenders: dict[str, Run] = {
        "portable engine, one image": lambda: engine.predict([model_input]),
        "portable engine, four images": lambda: engine.predict([model_input] * 4),
        "decode to answer, in process": lambda: predictor(image, OPTIONS),
    }
    try:
        detectron2 = bundle.load_engine("detectron2")
    except EngineUnavailable as absent:
        print(f"skipped: Detectron2's engine ({absent})", file=sys.stderr)
    else:
        contenders["Detectron2's engine, one image"] = lambda: detectron2.predict([model_input])
    return contenders


def measure(contenders: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Seconds per run, in rounds through all contenders, so that a slow moment hits them alike."""
    for run in contenders.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            started = perf_counter()
            run()
            times[name].append(perf_counter() - started)
    return times


def print_table(times: dict[str, list[float]]) -> None:
    """Median time, and the median of each round's ratio to the first contender with quartiles."""
    base = next(iter(times.values()))
    table = Table("", "ms, median", "ratio to the first", "quartiles")
    for name, seconds in times.items():
        ratios = [own / first for own, first in zip(seconds, base, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        ms = 1000 * statistics.median(seconds)
        table.add_row(name, f"{ms:.1f}", f"{middle:.2f}", f"{low:.2f} to {high:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
