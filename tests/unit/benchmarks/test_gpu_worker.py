import sys
from pathlib import Path

import pytest

from benchmarks.gpu_step import child
from cluster.paths import DEMO_BUNDLE, DEMO_IMAGE


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["eager", "static"])
def test_worker_runs_demo_on_a_cpu(tmp_path: Path, execution: str) -> None:
    command = [sys.executable, "-m", "benchmarks.gpu_worker", str(DEMO_BUNDLE), str(DEMO_IMAGE)]
    with child([*command, execution, "float32", "--device", "cpu"], tmp_path / "log") as worker:
        for whole, batch in ((False, 2), (True, 1), (True, 2)):
            question = {"images": 3, "batch": batch, "whole": whole}
            answer = worker.ask(question, 120)
            assert answer["seconds"] > 0
            assert answer["gb"] is None
