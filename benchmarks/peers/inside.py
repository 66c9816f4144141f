"""Open this repository's own engine, which every peer serves, so that only the serving differs."""

import os
from pathlib import Path

import torch

from pipeline.bundle.bundle import open_bundle
from pipeline.predictor import LesionPredictor


def open_predictor() -> LesionPredictor:
    """Return the predictor that the benchmark asks for in the environment."""
    torch.set_num_threads(int(os.environ["BENCHMARK_TORCH_THREADS"]))
    bundle = open_bundle(Path(os.environ["BENCHMARK_BUNDLE"]))
    return bundle.predictor(bundle.load_engine("auto", "cpu"))
