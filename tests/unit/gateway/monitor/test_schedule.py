import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta

import httpx
import pytest
from django.db import DatabaseError
from django.utils import timezone
from prometheus_client import REGISTRY

from gateway.database import in_database
from gateway.errors import NotReady
from gateway.monitor import lease, schedule
from gateway.monitor.models import ProbeLease, ProbeRun
from gateway.monitor.probe import Prober
from gateway.monitor.runs import probe_state
from gateway.monitor.schedule import ProbeSchedule, log
from tests.unit.gateway.monitor.probes import DIGEST, ID, OTHER, Clinic, answer

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def quick(monkeypatch) -> None:
    monkeypatch.setattr(schedule, "_FIRST_AFTER_S", 0.0)
    monkeypatch.setattr(schedule, "_POLL_S", 0.01)
    monkeypatch.setattr(schedule, "_ASK_EVERY_S", 0.001)


def metric(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"lesionserve_gateway_probe_{name}", labels)
    assert value is not None
    return value


async def is_ready() -> None:
    """Say that a model is loaded."""


class CountedProber(Prober):
    """A prober that sends so many probes, and then waits for ever."""

    def __init__(self, prober: Prober, count: int) -> None:
        self._prober = prober
        self._left = count
        self.over = asyncio.Event()

    async def run(self, turn: int) -> ProbeRun:
        if self._left == 0:
            self.over.set()
            await asyncio.Event().wait()
        self._left -= 1
        return await self._prober.run(turn)


async def probe_times(
    count: int,
    clinic: Clinic,
    every_s: float = 0.05,
    ready: Callable[[], Awaitable[None]] = is_ready,
) -> None:
    """Run the schedule of one process until this many probes are over, and stop it."""
    prober = CountedProber(clinic.prober(), count)
    task = asyncio.create_task(ProbeSchedule(prober, every_s, ready).run())
    await asyncio.wait_for(prober.over.wait(), 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_probes_are_saved_with_their_outcome():
    clinic = Clinic(answers=[answer(), answer(OTHER), answer()])
    await probe_times(3, clinic)
    runs = await in_database(lambda: list(ProbeRun.objects.order_by("pk")))
    assert [run.result for run in runs] == ["agreed", "disagreed", "agreed"]
    assert [run.case for run in runs] == ["a.jpg", "b.jpg", "a.jpg"]
    assert str(runs[0].request_id) == ID


async def test_first_probe_waits_for_model():
    questions = []

    async def ready() -> None:
        questions.append(metric("runs_total", result="agreed"))
        if len(questions) < 4:
            raise NotReady("The inference service is not ready.")

    await probe_times(1, Clinic(), ready=ready)
    assert len(questions) == 4
    assert len(set(questions)) == 1  # no probe ran before


async def test_probe_runs_if_no_model_is_loaded_in_time(monkeypatch):
    monkeypatch.setattr(schedule, "_MODEL_WITHIN_S", 0.05)

    async def ready() -> None:
        raise NotReady("The inference service is not ready.")

    clinic = Clinic(answers=[httpx.Response(503, json={"code": "unavailable"})])
    await probe_times(1, clinic, ready=ready)
    (run,) = await in_database(lambda: list(ProbeRun.objects.all()))
    assert run.result == "failed"


async def test_gauges_show_last_probes():
    before = {result: metric("runs_total", result=result) for result in ProbeRun.Result.values}
    count = metric("seconds_count")
    await probe_times(3, Clinic(answers=[answer(), answer(OTHER)]))
    state = await in_database(probe_state)
    assert metric("failures_in_a_row") == state.failures_in_a_row == 2
    assert metric("last_run_timestamp_seconds") == state.last.at.timestamp()
    assert metric("last_success_timestamp_seconds") == state.success.at.timestamp()
    assert metric("runs_total", result="agreed") == before["agreed"] + 1
    assert metric("runs_total", result="disagreed") == before["disagreed"] + 2
    assert metric("seconds_count") == count + 3


async def test_gauges_follow_probes_of_other_processes():
    due_at = timezone.now() + timedelta(seconds=200)
    await in_database(lambda: ProbeLease.objects.create(pk=1, due_at=due_at))
    await in_database(lambda: [ProbeRun(result="failed").save() for _ in range(4)])
    task = asyncio.create_task(ProbeSchedule(Clinic().prober(), 300, is_ready).run())
    for _ in range(1000):
        if metric("failures_in_a_row") == 4:
            break
        await asyncio.sleep(0.01)
    task.cancel()
    assert metric("failures_in_a_row") == 4


async def test_failing_database_shows_in_probes_of_process(monkeypatch, caplog):
    def fail(*arguments: object) -> None:
        raise DatabaseError("away")

    monkeypatch.setattr(lease, "claim_probe", fail)
    monkeypatch.setattr(schedule, "probe_state", fail)
    monkeypatch.setattr(ProbeRun, "save", fail)
    await probe_times(2, Clinic(answers=[answer(OTHER)]))
    assert metric("failures_in_a_row") == 2
    assert "a probe is in the log alone" in caplog.text


async def test_error_in_one_probe_ends_no_other(monkeypatch, caplog):
    clinic = Clinic(answers=[OverflowError("whatever it was"), answer()])
    await probe_times(2, clinic)
    assert len(clinic.requests) == 2
    assert "the probe could not be run" in caplog.text


@pytest.mark.parametrize(
    ("result", "level"), [("agreed", "info"), ("disagreed", "warning"), ("failed", "warning")]
)
def test_probe_has_line_of_log(result, level, caplog):
    run = ProbeRun(result=result, case="a.jpg", status=200, seconds=1.23456, bundle_sha256=DIGEST)
    with caplog.at_level(logging.INFO):
        log(run)
    (line,) = caplog.records
    assert line.levelname.lower() == level
    assert line.msg["result"] == result
    assert (line.msg["case"], line.msg["seconds"]) == ("a.jpg", 1.235)
