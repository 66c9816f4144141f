"""Open this repository's own engine, which every peer serves, so that only the serving differs."""

import os
from pathlib import Path

from pipeline.bundle.bundle import open_bundle
from pipeline.predictor import LesionPredictor


def open_predictor() -> LesionPredictor:
    """Return the predictor that the benchmark asks for in the environment."""
    bundle = open_bundle(Path(os.environ["BENCHMARK_BUNDLE"]))
    threads = int(os.environ["BENCHMARK_THREADS"])
    return bundle.predictor(bundle.load_engine("openvino", "cpu", threads=threads))
