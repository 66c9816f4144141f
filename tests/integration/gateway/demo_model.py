"""An ingress's behaviour with the answers of the demo model, for pictures of the pages."""

import json
from collections.abc import Callable
from functools import cache
from urllib.parse import parse_qsl

from pipeline.bundle.bundle import open_bundle
from pipeline.predictor import LesionPredictor
from pipeline.schemas import PredictOptions
from serve_app.paths import ROOT
from tests.integration.gateway.ingress import FakeIngress, Sent

EXAMPLES = ROOT / "gateway" / "web" / "static" / "web" / "examples"


def example(number: int) -> bytes:
    """Return one of the synthetic images of the public demo, numbered from 1."""
    return (EXAMPLES / f"synthetic-{number}.jpg").read_bytes()


@cache
def predictor() -> LesionPredictor:
    bundle = open_bundle(ROOT / "weights" / "demo")
    return bundle.predictor(bundle.load_engine())


@cache
def _prediction(image: bytes, query: str, request_id: str) -> bytes:
    options = PredictOptions.model_validate(dict(parse_qsl(query)))
    return predictor()(image, options, request_id).model_dump_json().encode()


def demo_answers() -> Callable[[Sent], tuple[int, bytes]]:
    """Return a behaviour that answers with the demo model."""

    def answer(sent: Sent) -> tuple[int, bytes]:
        if sent.path == "/predict":
            return 200, _prediction(sent.body, sent.query, sent.headers["x-request-id"])
        if sent.path == "/model":
            return 200, json.dumps(
                {"name": "demo", "version": "1.4.0", "digest": "d" * 64}
            ).encode()
        return FakeIngress().respond(sent)

    return answer
