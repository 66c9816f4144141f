"""Serve with BentoML as its documentation has it for CPU-bound work: a process for each core."""

import os
from pathlib import Path

import bentoml

from benchmarks.peers.inside import open_predictor
from pipeline.schemas import Prediction, PredictOptions


@bentoml.service(workers=int(os.environ["BENCHMARK_WORKERS"]), traffic={"timeout": 120})
class Lesions:
    def __init__(self) -> None:
        self.predictor = open_predictor()

    @bentoml.api(route="/predict")
    def predict(self, file: Path) -> Prediction:
        return self.predictor(file.read_bytes(), PredictOptions())
