"""Which way an image takes over the fused graph's one hop."""

import pytest
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata

from pipeline.errors import PredictionFailed, UnsupportedImage
from pipeline.schemas import PredictOptions
from serve_app.graph import FusedGraph
from tests.fakes import png
from tests.unit.test_stages import app_args

SMALL, LARGE = png(width=400, height=400), png(width=500, height=500)
HUGE = png(width=1500, height=1000)
TINY_IN_A_LARGE_FILE = png() + bytes(2**20)


class Handle:
    """A DeploymentHandle that notes how it was called."""

    def __init__(self, calls: list[bool], by_reference: bool = False) -> None:
        self._calls = calls
        self._by_reference = by_reference

    def options(self, *, _by_reference: bool) -> "Handle":
        return Handle(self._calls, _by_reference)

    async def remote(self, request_id: str, data: bytes, options: PredictOptions) -> bytes:
        self._calls.append(self._by_reference)
        return b"{}"


@pytest.mark.parametrize(
    ("data", "options", "by_reference"),
    [
        (SMALL, {}, False),
        (SMALL, {"masks": "polygon"}, True),
        (LARGE, {}, True),
        (LARGE, {"visualization": "none"}, False),
        (HUGE, {"visualization": "none"}, True),
        (HUGE, {"visualization": "none", "masks": "none"}, False),
        (TINY_IN_A_LARGE_FILE, {"visualization": "none"}, True),
        (TINY_IN_A_LARGE_FILE, {}, True),
    ],
)
async def test_what_may_outgrow_a_message_goes_by_reference(data, options, by_reference):
    calls: list[bool] = []
    await FusedGraph(app_args(), Handle(calls)).predict("id", data, PredictOptions(**options))
    assert calls == [by_reference]


async def test_an_answer_that_outgrew_a_message_after_all_is_an_error_of_ours():
    class Broken(Handle):
        def options(self, *, _by_reference: bool) -> "Broken":
            return self

        async def remote(self, *_: object) -> bytes:
            raise AioRpcError(StatusCode.RESOURCE_EXHAUSTED, Metadata(), Metadata())

    with pytest.raises(PredictionFailed):
        await FusedGraph(app_args(), Broken([])).predict("id", SMALL, PredictOptions())


async def test_what_is_no_image_is_refused_before_the_hop():
    calls: list[bool] = []
    with pytest.raises(UnsupportedImage):
        await FusedGraph(app_args(), Handle(calls)).predict("id", b"text", PredictOptions())
    assert calls == []
