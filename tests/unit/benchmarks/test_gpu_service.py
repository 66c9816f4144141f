import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from benchmarks import gpu_service
from benchmarks.gpu_step import StepFile
from benchmarks.load import Answer, Outcome
from cluster.paths import DEMO_BUNDLE


def outcome(count: int, status: int = 200) -> Outcome:
    answers = [Answer(at=1.0, took_s=0.1 * (n + 1), status=status) for n in range(count)]
    return Outcome(answers, seconds=2.0)


def test_each_number_of_clients_has_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options: list[str] = []
    loads: list[int] = []

    @contextmanager
    def launched(*arguments: str) -> Iterator[SimpleNamespace]:
        options.extend(arguments)
        ready = SimpleNamespace(url="http://127.0.0.1:1", key="key")
        yield SimpleNamespace(await_ready=lambda within_s: ready)

    def apply(url: str, requests: object, clients: int, seconds: float = 0.0) -> Outcome:
        loads.append(clients)
        return outcome(4)

    @contextmanager
    def gpu_use() -> Iterator[list[int]]:
        yield [40, 60]

    for name, fake in (("launched", launched), ("apply", apply), ("gpu_use", gpu_use)):
        monkeypatch.setattr(gpu_service, name, fake)
    step = StepFile(tmp_path / "step.json")
    gpu_service.load(step, "demo", DEMO_BUNDLE)
    assert options == ["--config", str(gpu_service.PROFILE), "--bundle", str(DEMO_BUNDLE)]
    assert [row["clients"] for row in step.result.rows] == loads[1:] == [1, 16, 48]
    assert step.result.rows[0] == {
        "bundle": "demo",
        "clients": 1,
        "images_s": 2.0,
        "p50_ms": 250,
        "p99_ms": 397,
        "statuses": {"200": 4},
        "gpu_percent": 50,
    }


def test_refused_requests_have_no_latency() -> None:
    figures = gpu_service.figures_of(outcome(3, status=503))
    assert figures == {
        "images_s": 0.0,
        "p50_ms": None,
        "p99_ms": None,
        "statuses": {"503": 3},
    }


def test_profile_is_staged_on_a_gpu() -> None:
    args = yaml.safe_load(gpu_service.PROFILE.read_text())["applications"][0]["args"]
    assert (args["graph"]["layout"], args["model"]["device"]) == ("staged", "cuda")
    assert args["graph"]["predictor"]["num_gpus"] > 0


def test_use_of_gpu_is_empty_without_nvidia_smi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with gpu_service.gpu_use() as percents:
        pass
    assert (percents, gpu_service.mean(percents)) == ([], None)


def test_use_of_gpu_is_read_from_nvidia_smi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "nvidia-smi"
    written = tmp_path / "written"
    lines = "echo 30\necho '[N/A]'\necho 71"
    program.write_text(f"#!/bin/sh\n{lines}\n: >{written}\nexec sleep 600\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with gpu_service.gpu_use() as percents:
        while not written.exists():
            time.sleep(0.01)
    assert (percents, gpu_service.mean(percents)) == ([30, 71], 50)
