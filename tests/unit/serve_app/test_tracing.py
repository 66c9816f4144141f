import asyncio
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.schemas import PredictOptions
from pipeline.tracing import spans
from serve_app.__main__ import main
from serve_app.batching import Batcher
from serve_app.fused_pipeline import FusedPipeline
from serve_app.tracing import endpoint_of_environment, stage, start_tracing, trace_arguments
from tests.fakes import open_fake_bundle, png
from tests.otlp import OtlpReceiver, otlp_receiver
from tests.tracing_extra import hide_extra
from tests.unit.serve_app.test_stages import app_args

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def receiver(monkeypatch) -> Iterator[OtlpReceiver]:
    with otlp_receiver() as receiver:
        monkeypatch.setenv(spans.ENDPOINT, receiver.url)
        yield receiver
        spans.stop()


def test_tracing_is_off_without_endpoint(monkeypatch):
    monkeypatch.delenv(spans.ENDPOINT, raising=False)
    start_tracing()
    assert not spans.is_on()
    assert trace_arguments() == {}


def test_driver_refuses_wrong_endpoint_before_ray_starts(monkeypatch, capsys):
    monkeypatch.setenv(spans.ENDPOINT, "collector:4318")
    monkeypatch.setenv("LESIONSERVE_SERVICE_TOKENS", "t" * 32)
    monkeypatch.setattr(sys, "argv", ["serve_app"])
    assert main() == 2
    assert f"error: {spans.ENDPOINT}: the http:// or https:// URL" in capsys.readouterr().err


def test_driver_names_missing_extra(monkeypatch, capsys):
    monkeypatch.setenv(spans.ENDPOINT, "http://collector:4318")
    monkeypatch.setenv("LESIONSERVE_SERVICE_TOKENS", "t" * 32)
    monkeypatch.setattr(sys, "argv", ["serve_app"])
    hide_extra(monkeypatch)
    assert main() == 2
    assert "pip install 'lesionserve[tracing]'" in capsys.readouterr().err


@pytest.mark.parametrize("url", ["", "ftp://collector"])
def test_stage_in_wrong_environment_does_not_start(monkeypatch, url):
    monkeypatch.setenv(spans.ENDPOINT, url)
    with pytest.raises(spans.TracingError, match=spans.ENDPOINT):
        FusedPipeline(app_args(), open_fake_bundle)
    with pytest.raises(spans.TracingError):
        endpoint_of_environment()


def test_second_start_keeps_first(receiver):
    start_tracing()
    with spans.begin("ingress"):
        start_tracing()
    spans.stop()
    assert [span.name for span in receiver.spans] == ["ingress"]


async def test_stage_of_other_replica_continues_trace(receiver):
    start_tracing()

    @stage("preprocess")
    async def preprocess(data: bytes) -> dict[str, str]:
        return trace_arguments()

    with spans.begin("ingress", f"00-{TRACE}-b7ad6b7169203331-01"):
        carried = trace_arguments()
    inner = await preprocess(b"", **carried)
    assert await preprocess(b"") == {}
    spans.stop()
    ingress, remote = receiver.spans
    assert (remote.trace_id, remote.parent_id) == (TRACE, ingress.span_id)
    assert inner == {"traceparent": f"00-{TRACE}-{remote.span_id}-01"}


async def test_images_of_one_batch_have_its_size_in_their_own_traces(receiver):
    start_tracing()
    release, started = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def run(items: list[int]) -> list[int]:
        if items == [0]:
            loop.call_soon_threadsafe(started.set)
            asyncio.run_coroutine_threadsafe(release.wait(), loop).result()
        return items

    async def request(number: int) -> int:
        with spans.begin("predictor"):
            return await batcher.submit(number)

    with ThreadPoolExecutor(1) as pool:
        batcher = Batcher(run, pool, max_batch_size=8, max_waiting=8)
        first = asyncio.create_task(request(0))
        await started.wait()
        untraced = asyncio.create_task(batcher.submit(3))
        others = [asyncio.create_task(request(number)) for number in (1, 2)]
        await asyncio.sleep(0)
        release.set()
        assert await asyncio.gather(first, untraced, *others) == [0, 3, 1, 2]
    spans.stop()
    models = [span for span in receiver.spans if span.name == "model"]
    assert sorted(span.attributes["batch_images"] for span in models) == [1, 3, 3]
    assert len({span.trace_id for span in models}) == 3
    waits = [span for span in receiver.spans if span.name == "batch_wait"]
    assert {wait.parent_id for wait in waits} == {span.parent_id for span in models}


async def test_later_batch_is_in_no_trace_of_first_request(receiver):
    start_tracing()

    class Pool(ThreadPoolExecutor):
        def submit(self, *args, **kwargs):
            current.append(spans.current())
            return super().submit(*args, **kwargs)

    current: list[object] = []
    with Pool(1) as pool:
        batcher = Batcher(list, pool, max_batch_size=1, max_waiting=1)
        with spans.begin("predictor"):
            await batcher.submit(1)
        await batcher.submit(2)
    assert current == [None, None]


async def test_image_rerun_alone_after_failed_batch_has_two_spans(receiver):
    start_tracing()

    def run(items: list[int]) -> list[int]:
        if len(items) > 1:
            raise ValueError
        return items

    with ThreadPoolExecutor(1) as pool, spans.begin("predictor"):
        batcher = Batcher(run, pool, max_batch_size=2, max_waiting=2)
        assert await asyncio.gather(batcher.submit(1), batcher.submit(2)) == [1, 2]
    spans.stop()
    models = [span.attributes["batch_images"] for span in receiver.spans if span.name == "model"]
    assert sorted(models) == [1, 1, 2, 2]
    assert [span.name for span in receiver.spans].count("batch_wait") == 2


async def test_fused_stages_are_children_of_ingress(receiver):
    pipeline = FusedPipeline(app_args(), open_fake_bundle)
    with spans.begin("ingress"):
        await pipeline("id", png(), PredictOptions())
    spans.stop()
    exported = {span.name: span for span in receiver.spans}
    ingress = exported["ingress"].span_id
    for name in ("preprocess", "predictor", "postprocess"):
        assert exported[name].parent_id == ingress
    assert exported["predictor"].attributes == {"model": "fake", "model_version": "1"}
