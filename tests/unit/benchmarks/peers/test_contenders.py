from pathlib import Path

import pytest

from benchmarks.peers import contenders
from benchmarks.peers.contenders import Setting, settings


def test_settings_are_a_worker_for_each_core_and_one_with_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(contenders, "CORES", 4)
    bundle = Path("bundle")
    assert settings(bundle) == [Setting(bundle, 4, 1), Setting(bundle, 1, 4)]


def test_setting_reaches_the_peer_by_its_environment() -> None:
    assert Setting(Path("bundle"), 2, 1).environment() == {
        "BENCHMARK_BUNDLE": str(Path("bundle").resolve()),
        "BENCHMARK_WORKERS": "2",
        "BENCHMARK_THREADS": "1",
        "OMP_NUM_THREADS": "1",
    }
