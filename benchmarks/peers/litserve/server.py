"""Serve with LitServe as its documentation has it for a CPU, by worker processes.

Without batches, which on a CPU gain a tenth, while LitServe holds a lone request for the timeout.
"""

import os
from typing import Any

import litserve
from fastapi import Request, Response

from benchmarks.peers.inside import open_predictor
from pipeline.schemas import PredictOptions


class Lesions(litserve.LitAPI):
    def setup(self, device: str) -> None:  # noqa: ARG002, LitServe names it
        self.predictor = open_predictor()

    def decode_request(self, request: Request) -> bytes:
        upload: Any = request["file"]  # LitServe hands over the parsed form
        return bytes(upload.file.read())

    def predict(self, image: bytes) -> str:
        return self.predictor(image, PredictOptions()).model_dump_json()

    def encode_response(self, answer: str) -> Response:
        return Response(answer, media_type="application/json")


if __name__ == "__main__":
    server = litserve.LitServer(
        Lesions(api_path="/predict"),
        accelerator="cpu",
        workers_per_device=int(os.environ["BENCHMARK_WORKERS"]),
        timeout=120,
    )
    server.run(
        host="127.0.0.1",
        port=int(os.environ["BENCHMARK_PORT"]),
        generate_client_file=False,
        log_level="warning",
    )
