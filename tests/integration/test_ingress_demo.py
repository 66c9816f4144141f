"""The ingress over the real demo model, in this process; and the fake model held against it."""

import json
from typing import Any

import httpx
import pytest

from gateway.environment import ProbeSettings
from gateway.monitor.golden import GoldenSet, parse_golden
from gateway.monitor.probe import Prober
from pipeline.bundle.bundle import open_bundle
from pipeline.bundle.golden import compare
from pipeline.schemas import Prediction, PredictOptions
from serve_app.args import AppArgs
from serve_app.config import load_profile
from serve_app.graph import FusedGraph
from serve_app.paths import ROOT
from serve_app.routes import Routes
from serve_app.tokens import Tokens
from tests.fakes import open_embedding_bundle, png

# The batcher of the one graph belongs to one event loop.
pytestmark = pytest.mark.asyncio(loop_scope="module")

TOKEN = "t" * 32
HEADERS = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/jpeg"}
IMAGE = (ROOT / "weights/example.jpg").read_bytes()


@pytest.fixture(scope="module")
def args() -> AppArgs:
    return load_profile(ROOT / "configs/serve/local.yaml").application.args


@pytest.fixture(scope="module")
def graph(args) -> FusedGraph:
    return FusedGraph(args, open_bundle)


def client(graph: FusedGraph, args: AppArgs) -> httpx.AsyncClient:
    app = Routes(graph, Tokens(TOKEN), args).app()
    transport = httpx.ASGITransport(app)
    return httpx.AsyncClient(transport=transport, base_url="http://ingress", headers=HEADERS)


def shape(value: Any) -> Any:
    """The keys and types of a JSON document; of a list, those of its first item."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [shape(item) for item in value[:1]]
    return type(value)


async def test_demo_image_is_answered_as_by_predictor(graph, args):
    async with client(graph, args) as ingress:
        response = await ingress.post("/predict", content=IMAGE)
    bundle = open_bundle(args.model.bundle)
    expected = bundle.predictor(bundle.load_engine(device="cpu"))(IMAGE, PredictOptions())
    prediction = Prediction.model_validate_json(response.content)
    assert prediction.detections
    assert (prediction.model, prediction.image) == (expected.model, expected.image)
    # Another number of threads adds in another order, so the last bits may differ.
    compare("the demo image", expected.detections, prediction.detections, threshold=0)
    assert prediction.metrics.class_distribution == expected.metrics.class_distribution
    assert prediction.visualization is not None
    assert prediction.embedding_distance == pytest.approx(expected.embedding_distance, rel=1e-3)


class Gateway(httpx.AsyncBaseTransport):
    """The public address in front of an ingress, without a gateway between the two."""

    def __init__(self, ingress: httpx.AsyncClient) -> None:
        self._ingress = ingress

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        answer = await self._ingress.post(
            "/predict",
            params=request.url.params,
            content=await request.aread(),
            headers={"Content-Type": request.headers["Content-Type"]},
        )
        # As from a socket: not read yet.
        return httpx.Response(answer.status_code, stream=httpx.ByteStream(answer.content))


async def test_probe_agrees_with_each_golden_case_of_demo(graph, args):
    async with client(graph, args) as ingress:

        async def fetch() -> GoldenSet:
            return parse_golden((await ingress.get("/golden")).content)

        settings = ProbeSettings("http://gateway.example", "a key", None, 60)
        prober = Prober(settings, 60, fetch, Gateway(ingress))
        runs = [await prober.run(turn) for turn in range(len((await fetch()).cases))]
    assert len({run.case for run in runs}) == len(runs) >= 2
    assert [run.detail for run in runs if not run.agrees] == []
    assert all(run.max_score_difference <= 0.02 and run.min_mask_iou > 0.9 for run in runs)


async def test_fake_model_answers_in_form_of_real_model(graph, args):
    async with (
        client(graph, args) as real,
        client(FusedGraph(args, open_embedding_bundle), args) as fake,
    ):
        answers = [
            json.loads((await real.post("/predict", content=IMAGE)).content),
            json.loads((await fake.post("/predict", content=png())).content),
        ]
        manifests = [(await ingress.get("/model")).json() for ingress in (real, fake)]
    for answer in answers:
        answer["metrics"].pop("class_distribution")  # its keys are the model's classes
        assert answer["image"]["sha256"]
        assert answer["model"].pop("software")["lesionserve"]  # its keys are the engine's packages
        answer["model"].pop("labels")  # its keys are languages
    assert shape(answers[0]) == shape(answers[1])
    assert manifests[0].keys() == manifests[1].keys()
