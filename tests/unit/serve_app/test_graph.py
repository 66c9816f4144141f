"""The fused graph: the pipeline in the ingress's own replica."""

import asyncio

import pytest

from pipeline.errors import BrokenImage, PredictionFailed
from pipeline.schemas import Prediction, PredictOptions
from serve_app.fused_pipeline import FusedPipeline
from serve_app.graph import FusedGraph
from serve_app.stages import Predictor
from tests.fakes import open_fake_bundle, png
from tests.unit.serve_app.test_stages import QUEUE, app_args

OPTIONS = PredictOptions()


@pytest.fixture
def graph() -> FusedGraph:
    return FusedGraph(app_args(), open_fake_bundle)


async def test_fused_graph_answers_image(graph):
    answer = Prediction.model_validate_json(await graph.predict("id", png(), OPTIONS, "a-7"))
    assert (answer.request_id, answer.correlation_id) == ("id", "a-7")
    assert (await graph.manifest())["name"] == "fake"


async def test_fused_graph_raises_error_of_pipeline_unchanged(graph):
    with pytest.raises(BrokenImage):
        await graph.predict("id", png()[:-20], OPTIONS)


async def test_fused_graph_limits_concurrent_pipeline_calls(graph, monkeypatch):
    inside, most, go = 0, 0, asyncio.Event()

    async def answer(*_: object) -> bytes:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await go.wait()
        inside -= 1
        return b"{}"

    monkeypatch.setattr(FusedPipeline, "__call__", answer)
    crowd = [asyncio.create_task(graph.predict("id", png(), OPTIONS)) for _ in range(20)]
    for _ in range(100):
        await asyncio.sleep(0)
    go.set()
    assert await asyncio.gather(*crowd) == [b"{}"] * 20
    assert most == QUEUE["max_ongoing_requests"]


async def test_stuck_model_makes_fused_replica_unhealthy(graph, monkeypatch):
    await graph.check_health()

    async def stuck(_: Predictor) -> None:
        raise PredictionFailed("stuck")

    monkeypatch.setattr(Predictor, "check_health", stuck)
    with pytest.raises(PredictionFailed):
        await graph.check_health()
