"""The command of the serving images, with programs of the test in place of Ray and deployments."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from cluster.deploy.errors import Exit
from cluster.images import serve_head
from cluster.images.serve_head import ServeHead, deploy_command, head_command


def program(folder: Path, name: str, body: str) -> list[str]:
    """A program that notes its start and its end in the file `log`."""
    log = folder / "log"
    script = f"echo {name} >> {log}\ntrap 'echo {name} ended >> {log}; exit 0' TERM\n{body}\n"
    return ["/bin/sh", "-c", script]


STAYS = "while :; do sleep 0.05; done"


def log(folder: Path) -> list[str]:
    path = folder / "log"
    return path.read_text().splitlines() if path.exists() else []


def run_until(head: ServeHead, folder: Path, line: str) -> int:
    """Run, and stop once the log has this line."""

    def stop() -> None:
        while line not in log(folder):
            time.sleep(0.02)
        head.stop()

    stopper = threading.Thread(target=stop, daemon=True)
    stopper.start()
    return head.run()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve_head, "_POLL_S", 0.02)
    monkeypatch.setattr(serve_head, "RETRY_AFTER_S", 0.1)


def test_head_serves_until_it_is_stopped(tmp_path):
    deployed = program(tmp_path, "deploy", f"echo deployed >> {tmp_path / 'log'}; exit 0")
    head = ServeHead(program(tmp_path, "ray", STAYS), deployed, lambda: "ray" in log(tmp_path))
    assert run_until(head, tmp_path, "deployed") == 0
    assert log(tmp_path) == ["ray", "deploy", "deployed", "ray ended"]


def test_refused_deployment_is_tried_again(tmp_path):
    twice = f"[ $(grep -c deploy {tmp_path / 'log'}) -ge 3 ] && exit 0; exit {int(Exit.REFUSED)}"
    head = ServeHead(
        program(tmp_path, "ray", f"sleep 3; exit 7; {STAYS}"),
        program(tmp_path, "deploy", twice),
        lambda: True,
    )
    assert head.run() == 1, "Ray ended by itself, after the deployment"
    assert log(tmp_path).count("deploy") == 3


@pytest.mark.parametrize("status", [2, 4, 5, 130])
def test_failed_deployment_ends_the_container(tmp_path, status):
    failing = program(tmp_path, "deploy", f"exit {status}")
    head = ServeHead(program(tmp_path, "ray", STAYS), failing, lambda: "ray" in log(tmp_path))
    assert head.run() == status
    assert log(tmp_path) == ["ray", "deploy", "ray ended"]


def test_ray_that_never_comes_up_is_reported(tmp_path, capsys):
    deploy = program(tmp_path, "deploy", "exit 0")
    head = ServeHead(program(tmp_path, "ray", "exit 9"), deploy, lambda: False)
    assert head.run() == 1
    assert log(tmp_path) == ["ray"]
    assert "exit code 9" in capsys.readouterr().err


def test_deployment_ends_with_ray(tmp_path):
    ray = program(tmp_path, "ray", f"until grep -q deploy {tmp_path / 'log'}; do :; done; exit 3")
    head = ServeHead(ray, program(tmp_path, "deploy", STAYS), lambda: "ray" in log(tmp_path))
    assert head.run() == 1
    assert log(tmp_path) == ["ray", "deploy", "deploy ended"]


def test_stop_during_deployment_ends_it_before_ray(tmp_path):
    started = program(tmp_path, "deploy", f"echo deploying >> {tmp_path / 'log'}; {STAYS}")
    head = ServeHead(program(tmp_path, "ray", STAYS), started, lambda: "ray" in log(tmp_path))
    assert run_until(head, tmp_path, "deploying") == 0
    assert log(tmp_path) == ["ray", "deploy", "deploying", "deploy ended", "ray ended"]


def test_object_store_fits_into_shared_memory():
    def store(size: int) -> int:
        (option,) = (o for o in head_command(size) if o.startswith("--object-store-memory="))
        return int(option.partition("=")[2])

    assert store(1 << 30) < 1 << 30
    assert store(64 << 30) == 2_000_000_000


def test_deployment_takes_profile_and_bundle_of_environment():
    profile = {"LESIONSERVE_PROFILE": "configs/serve/gpu.yaml"}
    assert deploy_command(profile)[-1] == "configs/serve/gpu.yaml"
    assert deploy_command(profile | {"LESIONSERVE_BUNDLE": ""}) == deploy_command(profile)
    bundle = deploy_command(profile | {"LESIONSERVE_BUNDLE": "/models/current"})
    assert bundle[-2:] == ["--bundle", "/models/current"]


def test_missing_profile_is_named():
    done = subprocess.run(
        [sys.executable, "-m", "cluster.images.serve_head"],
        env={"LESIONSERVE_PROFILE": ""},
        capture_output=True,
        text=True,
        cwd=Path(serve_head.__file__).parents[2],
        timeout=60,
    )
    assert done.returncode == 2
    assert "LESIONSERVE_PROFILE" in done.stderr


def test_refused_is_the_code_of_the_command():
    assert serve_head._REFUSED == Exit.REFUSED
