import subprocess
import sys

import pytest

from benchmarks.peers import inside
from cluster.paths import DEMO_BUNDLE
from pipeline.engines.openvino.engine import OpenVinoEngine
from serve_app.paths import ROOT


def test_peer_runs_openvino_with_the_threads_of_its_setting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    threads: list[int] = []
    opened = OpenVinoEngine.open

    def record(config, graphs, precision, count):
        threads.append(count)
        return opened(config, graphs, precision, count)

    monkeypatch.setattr(OpenVinoEngine, "open", record)
    monkeypatch.setenv("BENCHMARK_BUNDLE", str(DEMO_BUNDLE))
    monkeypatch.setenv("BENCHMARK_THREADS", "1")
    assert inside.open_predictor().info.engine == "openvino"
    assert threads == [1]


def test_peer_needs_no_torch() -> None:
    code = "import sys, benchmarks.peers.inside; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0
