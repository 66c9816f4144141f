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

BUNDLE = ROOT / "weights" / "demo"
EXAMPLES = ROOT / "gateway" / "web" / "static" / "web" / "examples"


def example(number: int) -> bytes:
    """Return one of the synthetic images of the public demo, numbered from 1."""
    return (EXAMPLES / f"synthetic-{number}.jpg").read_bytes()


@cache
def predictor() -> LesionPredictor:
    bundle = open_bundle(BUNDLE)
    return bundle.predictor(bundle.load_engine())


@cache
def _prediction(image: bytes, query: str, request_id: str) -> bytes:
    options = PredictOptions.model_validate(dict(parse_qsl(query)))
    return predictor()(image, options, request_id).model_dump_json().encode()


@cache
def _loaded_model() -> bytes:
    """Return what the page reads of an ingress's answer to GET /model."""
    manifest = open_bundle(BUNDLE).manifest
    shown = {"name": manifest.name, "version": manifest.version, "digest": manifest.digest}
    return json.dumps(shown).encode()


def demo_answers() -> Callable[[Sent], tuple[int, bytes]]:
    """Return a behaviour that answers with the demo model, which is loaded now."""
    predictor()

    def answer(sent: Sent) -> tuple[int, bytes]:
        if sent.path == "/predict":
            return 200, _prediction(sent.body, sent.query, sent.headers["x-request-id"])
        if sent.path == "/model":
            return 200, _loaded_model()
        return FakeIngress().respond(sent)

    return answer
