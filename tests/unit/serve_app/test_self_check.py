import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.bundle.golden import Agreement
from pipeline.errors import BundleError, OutOfMemory, Unavailable
from serve_app import self_check
from serve_app.self_check import SelfCheckFailed, SelfChecks
from tests.fakes import MANIFEST, FakeEngine, GoldenBundle
from tests.unit.serve_app.recording import RecordingMetrics


class Checks:
    """Checks whose time passes when the test says so."""

    def __init__(
        self, *, golden_every_s: float | None = 100, weights_every_s: float | None = 500
    ) -> None:
        self.engine = FakeEngine()
        self.metrics = RecordingMetrics()
        self.now = 0.0
        self.sleepers: list[tuple[float, asyncio.Future[None]]] = []
        bundle = GoldenBundle(Path("nowhere"), MANIFEST)
        self.checks = SelfChecks(
            self.engine,
            bundle.golden_check(self.engine),
            self.metrics,
            golden_every_s=golden_every_s,
            weights_every_s=weights_every_s,
        )

    async def start(self) -> None:
        self.checks.start(self.run_when_idle)
        await settle()

    async def run_when_idle(self, function: Callable[[], object]) -> object:
        return function()

    async def sleep(self, seconds: float) -> None:
        sleeper: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sleepers.append((self.now + seconds, sleeper))
        await sleeper

    async def pass_time(self, seconds: float) -> None:
        until = self.now + seconds
        while due := [entry for entry in self.sleepers if entry[0] <= until]:
            entry = min(due, key=lambda entry: entry[0])
            self.sleepers.remove(entry)
            self.now = entry[0]
            entry[1].set_result(None)
            await settle()
        self.now = until


async def settle() -> None:
    for _ in range(10):
        await real_sleep(0)


real_sleep = asyncio.sleep


@pytest.fixture
def make(monkeypatch) -> Callable[..., Checks]:
    def make(**intervals: float | None) -> Checks:
        made = Checks(**intervals)
        monkeypatch.setattr(self_check, "sleep", made.sleep)
        monkeypatch.setattr(self_check, "monotonic", lambda: made.now)
        monkeypatch.setattr(self_check, "uniform", lambda low, high: low)
        return made

    return make


def test_sound_model_is_reported_at_start(make):
    made = make()
    assert made.metrics.checks == ["reproduced", "unchanged"]
    assert made.metrics.agreements == [Agreement(0.0, 1.0, 0.0)]
    made.checks.require_sound()
    made.checks.check_health()


def test_model_that_does_not_reproduce_is_refused_at_start():
    engine = FakeEngine()
    engine.weights[0] = 0.25
    golden = GoldenBundle(Path("nowhere"), MANIFEST).golden_check(engine)
    with pytest.raises(BundleError, match=r"golden case a\.png"):
        SelfChecks(engine, golden, RecordingMetrics(), golden_every_s=1, weights_every_s=1)


async def test_checks_repeat_at_their_intervals(make):
    made = make()
    await made.start()
    await made.pass_time(99)
    assert made.metrics.checks == ["reproduced", "unchanged"]
    await made.pass_time(1)
    assert made.metrics.checks[2:] == ["reproduced"]
    await made.pass_time(400)
    assert made.metrics.checks[2:].count("reproduced") == 5
    assert made.metrics.checks[2:].count("unchanged") == 1
    made.checks.check_health()


async def test_second_start_repeats_no_check_twice(make):
    made = make()
    await made.start()
    await made.start()
    await made.pass_time(100)
    assert made.metrics.checks[2:] == ["reproduced"]


async def test_intervals_differ_between_replicas(monkeypatch):
    replicas = [Checks(weights_every_s=None) for _ in range(20)]
    for replica in replicas:
        with monkeypatch.context() as patch:
            patch.setattr(self_check, "sleep", replica.sleep)
            await replica.start()
    times = [at for replica in replicas for at, _ in replica.sleepers]
    assert len(set(times)) == 20
    assert all(100 <= at <= 110 for at in times)


async def test_golden_case_that_differs_condemns_replica(make):
    made = make(weights_every_s=None)
    await made.start()
    made.engine.weights[0] = 0.25
    made.checks.require_sound()  # nobody knows yet
    await made.pass_time(100)
    assert made.metrics.checks == ["reproduced", "differs"]
    with pytest.raises(SelfCheckFailed) as refusal:
        made.checks.require_sound()
    assert isinstance(refusal.value, Unavailable)
    assert "a.png" not in str(refusal.value)
    await made.pass_time(1000)
    assert made.metrics.checks == ["reproduced", "differs"]


async def test_changed_weight_condemns_replica(make):
    made = make(golden_every_s=None)
    await made.start()
    made.engine.weights[0] = 0.5000001  # too little for a golden case
    await made.pass_time(500)
    assert made.metrics.checks == ["reproduced", "unchanged", "changed"]
    with pytest.raises(SelfCheckFailed):
        made.checks.require_sound()


async def test_health_check_gives_reason_once_metric_is_exported(make):
    made = make()
    await made.start()
    made.engine.weights[0] = 0.25
    await made.pass_time(100)
    await made.pass_time(5)
    made.checks.check_health()
    await made.pass_time(1)
    with pytest.raises(SelfCheckFailed, match=r"golden case a\.png: HSIL .* was not found again"):
        made.checks.check_health()


async def test_failing_engine_condemns_replica(make, monkeypatch):
    made = make()
    await made.start()
    monkeypatch.setattr(made.engine, "predict", lambda inputs: _raise(RuntimeError("CUDA error")))
    await made.pass_time(110)
    assert made.metrics.checks[2:] == ["differs"]
    with pytest.raises(SelfCheckFailed, match="CUDA error"):
        made.checks.check_health()


async def test_check_without_memory_is_put_off(make, monkeypatch):
    made = make(weights_every_s=None)
    await made.start()
    with monkeypatch.context() as patch:
        patch.setattr(made.engine, "predict", lambda inputs: _raise(OutOfMemory("no memory")))
        await made.pass_time(130)
    made.checks.require_sound()
    assert made.metrics.checks == ["reproduced"]
    await made.pass_time(30)
    assert made.metrics.checks == ["reproduced", "reproduced"]


async def test_broken_check_makes_replica_unhealthy(make, monkeypatch):
    made = make()
    await made.start()
    monkeypatch.setattr(made.engine, "fingerprint", lambda: _raise(KeyError("a fault of ours")))
    await made.pass_time(500)
    with pytest.raises(SelfCheckFailed, match="self-check of the weights broke"):
        made.checks.check_health()


async def test_checks_without_interval_never_run_again(make):
    made = make(golden_every_s=None, weights_every_s=None)
    await made.start()
    made.engine.weights[0] = 0.25
    await made.pass_time(1e6)
    assert made.metrics.checks == ["reproduced"]  # at the start
    assert made.sleepers == []


def _raise(error: Exception) -> None:
    raise error
