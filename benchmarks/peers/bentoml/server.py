"""Serve with BentoML as its documentation has it for CPU-bound work.

A worker with several threads takes as many images at a time as the engine allows.
"""

import os
from pathlib import Path

import bentoml

from benchmarks.peers.inside import open_predictor
from pipeline.engines.openvino.engine import OpenVinoEngine
from pipeline.schemas import Prediction, PredictOptions


@bentoml.service(
    workers=int(os.environ["BENCHMARK_WORKERS"]),
    threads=min(int(os.environ["BENCHMARK_THREADS"]), OpenVinoEngine.max_threads),
    traffic={"timeout": 120},
    logging={"access": {"enabled": False}},
)
class Lesions:
    def __init__(self) -> None:
        self.predictor = open_predictor()

    @bentoml.api(route="/predict")
    def predict(self, file: Path) -> Prediction:
        return self.predictor(file.read_bytes(), PredictOptions())
