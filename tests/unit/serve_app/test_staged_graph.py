"""The staged graph over handles that are fakes; the real ones are in the integration tests."""

from collections.abc import Callable, Generator
from typing import Any

import pytest
from ray.exceptions import RayTaskError

from pipeline.errors import PredictionFailed
from pipeline.schemas import PredictOptions
from serve_app.graph import StagedGraph
from serve_app.self_check import SelfCheckFailed


class FakeResponse:
    """A response of a handle: a result, or an error as Ray raises it for a stage's."""

    def __init__(self, result: object) -> None:
        self._result = result

    def __await__(self) -> Generator[Any, Any, object]:
        if isinstance(self._result, Exception):
            raise RayTaskError("stage", "a traceback", self._result)
        return self._result
        yield

    def cancel(self) -> None: ...


class FakeHandle:
    def __init__(self, answer: Callable[..., object]) -> None:
        self._answer = answer
        self.calls = 0

    def options(self, **_: object) -> "FakeHandle":
        return self

    def remote(self, *args: object) -> FakeResponse:
        self.calls += 1
        return FakeResponse(self._answer(*args))


def graph_of(*outcomes: object) -> tuple[StagedGraph, FakeHandle, FakeHandle]:
    """Return a graph whose predictors have these outcomes, with its first two handles."""
    left = list(outcomes)
    preprocess = FakeHandle(lambda data: "prepared")
    predictor = FakeHandle(lambda prepared: left.pop(0))
    postprocess = FakeHandle(lambda request_id, prepared, predicted, *_: predicted._result)
    return StagedGraph(preprocess, predictor, postprocess), preprocess, predictor


async def ask(graph: StagedGraph) -> bytes:
    return await graph.predict("id", b"image", PredictOptions())


async def test_image_goes_to_another_predictor_if_self_check_failed():
    failed = SelfCheckFailed("the model is wrong")
    graph, preprocess, predictor = graph_of(failed, failed, b"answer")
    assert await ask(graph) == b"answer"
    assert (preprocess.calls, predictor.calls) == (1, 3)


async def test_image_is_refused_if_no_sound_predictor_is_found():
    graph, _, predictor = graph_of(*[SelfCheckFailed("the model is wrong")] * 20)
    with pytest.raises(SelfCheckFailed, match="the model is wrong"):
        await ask(graph)
    assert predictor.calls == 10


async def test_other_errors_of_predictor_are_raised_at_once():
    graph, _, predictor = graph_of(PredictionFailed("no"), b"answer")
    with pytest.raises(PredictionFailed):
        await ask(graph)
    assert predictor.calls == 1
