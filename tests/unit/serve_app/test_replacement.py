import asyncio
import logging
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest

from pipeline.errors import BundleError, Overloaded, Unavailable
from pipeline.schemas import Prediction, PredictOptions
from serve_app.deployed_bundle import open_deployed_bundle
from serve_app.graph import FusedGraph
from serve_app.paths import ROOT
from serve_app.replacement import RELOAD_THREAD, ReplaceableGraph
from tests.fakes import open_fake_bundle, png
from tests.unit.serve_app.test_stages import app_args

DEMO = ROOT / "weights/demo"


class Disk:
    """Gives the fake bundle, or the error of one that is damaged."""

    made: ClassVar[list["Disk"]] = []

    def __init__(self, error: Exception | None) -> None:
        self.error = error
        self.made.append(self)

    def open(self, path: Path):
        if self.error is not None:
            raise self.error
        return open_fake_bundle(path)


@pytest.fixture(autouse=True)
def _end_reloads() -> Iterator[None]:
    """Let no thread try to load a model while other tests run."""
    yield
    while Disk.made:
        Disk.made.pop().error = None
    for thread in threading.enumerate():
        if thread.name == RELOAD_THREAD:
            thread.join(30)
            assert not thread.is_alive()


def graph_of(disk: Disk, *, is_last_resort: bool = True) -> ReplaceableGraph:
    build = partial(FusedGraph, app_args(), disk.open)
    return ReplaceableGraph(build, lambda: is_last_resort, retry_after_s=0.01)


def damage() -> BundleError:
    return BundleError("model.pth is damaged: its SHA-256 is not the manifest's")


async def test_replica_of_intact_bundle_answers():
    graph = graph_of(Disk(None))
    answer = Prediction.model_validate_json(
        await graph.predict("id", png(), PredictOptions(), "case-7")
    )
    assert (answer.model.name, answer.correlation_id) == ("fake", "case-7")
    assert (await graph.manifest())["name"] == "fake"


def test_replica_does_not_start_while_others_can_serve():
    with pytest.raises(BundleError, match="is damaged"):
        graph_of(Disk(damage()), is_last_resort=False)


@pytest.mark.parametrize(
    "error", [damage(), PermissionError(13, "Permission denied"), RuntimeError("CUDA error")]
)
async def test_last_replica_refuses_and_is_healthy(error, caplog):
    with caplog.at_level(logging.ERROR):
        graph = graph_of(Disk(error))
    for call in (graph.predict("id", png(), PredictOptions()), graph.manifest()):
        with pytest.raises(Unavailable, match="cannot be loaded") as caught:
            await call
        assert "model.pth" not in str(caught.value)
    await graph.check_health()


async def test_reason_is_logged_once_until_it_changes(caplog):
    disk = Disk(damage())
    with caplog.at_level(logging.ERROR):
        graph_of(disk)
        await asyncio.sleep(0.2)
        disk.error = BundleError("the bundle lacks model.pth")
        while len(caplog.records) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        reasons = [record.getMessage().split("loaded: ")[1] for record in caplog.records]
    assert reasons == [
        "BundleError: model.pth is damaged: its SHA-256 is not the manifest's",
        "BundleError: the bundle lacks model.pth",
    ]


async def until_it_answers(graph: ReplaceableGraph) -> None:
    for _ in range(1000):
        try:
            await graph.manifest()
            return
        except Unavailable:
            await asyncio.sleep(0.01)
    raise AssertionError("it refuses for ever")


async def test_replica_answers_once_bundle_is_repaired():
    disk = Disk(damage())
    graph = graph_of(disk)
    disk.error = None
    await until_it_answers(graph)
    assert await graph.predict("id", png(), PredictOptions())


async def test_replica_whose_decoders_do_not_start_tries_again():
    disk = Disk(Overloaded("The decoder did not start."))
    graph = graph_of(disk)
    with pytest.raises(Unavailable):
        await graph.manifest()
    disk.error = None
    await until_it_answers(graph)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_replica_that_gave_up_is_unhealthy():
    """Ray replaces it then, which an error of another kind may need."""
    disk = Disk(damage())
    graph = graph_of(disk)
    disk.error = KeyError("an error of another kind")
    for _ in range(1000):
        try:
            await graph.check_health()
            await asyncio.sleep(0.01)
        except Unavailable:
            return
    raise AssertionError("it refuses for ever, and is called healthy")


def test_bundle_other_than_deployed_is_refused():
    digest = open_deployed_bundle(None, DEMO).manifest.digest
    assert open_deployed_bundle(digest, DEMO).manifest.digest == digest
    with pytest.raises(BundleError, match="was deployed; restore that bundle"):
        open_deployed_bundle("0" * 64, DEMO)


def test_bundle_on_failing_disk_is_refused(monkeypatch):
    def fail(path: Path) -> str:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("pipeline.bundle.manifest.sha256_of", fail)
    with pytest.raises(BundleError, match="cannot be read: Input/output error"):
        open_deployed_bundle(None, DEMO)
