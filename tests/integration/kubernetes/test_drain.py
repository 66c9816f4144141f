"""What a worker's pod does before it ends, on a real cluster of four nodes."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from serve_app.paths import ROOT
from tests.integration.kubernetes.manifests import FOLDER, Manifest

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def worker_container() -> Manifest:
    service = next(yaml.safe_load_all((FOLDER / "base/inference.yaml").read_text()))
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def drain_command() -> list[str]:
    """Return the arguments of `ray` in the workers' preStop."""
    script = worker_container()["lifecycle"]["preStop"]["exec"]["command"][-1]
    _, _, program, *arguments = shlex.split(script.partition(";")[0])
    assert program == "ray"
    return arguments


def test_drained_worker_hands_over_and_spares_gpu_worker(
    tmp_path: Path, unused_tcp_port: int
) -> None:
    probe = worker_container()["readinessProbe"]["httpGet"]["path"]
    arguments = [str(tmp_path), str(unused_tcp_port), probe, json.dumps(drain_command())]
    done = subprocess.run(
        [sys.executable, "-m", "tests.integration.kubernetes.drained_cluster", *arguments],
        env=os.environ
        | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": "t" * 64,
            "RAY_USAGE_STATS_ENABLED": "0",
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["probe"] == 200
    assert result["drain"][0] == 0, result["drain"]
    assert result["statuses"].keys() == {"200"}
    assert result["victim"] in result["before"]
    assert result["victim"] not in result["after"]
    assert len(result["gpus"]) == 1
    assert not set(result["gpus"]) & {*result["before"], *result["after"]}
