import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.paths import DEMO_BUNDLE, SPACE_PROFILE
from pipeline.bundle.manifest import read_manifest
from tests.integration.cli.command_process import assert_one_line, run


def test_ready_path_with_another_file_is_misuse(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_text("weights")
    options = ("--data", tmp_path / "data", "--ready-file", tmp_path / "model.pth")
    done = run("up", *options)
    assert_one_line(done, 2, f"{tmp_path}/model.pth: it is no ready file; name another file")
    assert [path.name for path in tmp_path.iterdir()] == ["model.pth"]


def test_refused_start_writes_no_ready_file(tmp_path: Path) -> None:
    ready_file = tmp_path / "ready.json"
    options = ("--config", tmp_path / "gone.yaml", "--data", tmp_path / "data")
    done = run("up", *options, "--ready-file", ready_file)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"lesionserve: {tmp_path}/gone.yaml: ")
    assert not ready_file.exists()


def test_public_demo_outside_space_is_misuse() -> None:
    done = run("up", "--public-demo")
    assert_one_line(done, 2, "--public-demo is for a Hugging Face Space")


@pytest.mark.parametrize("option", ["--bundle", "--candidate"])
def test_public_demo_of_own_bundle_is_misuse(option: str) -> None:
    done = run("up", "--public-demo", option, "my-bundle")
    assert_one_line(done, 2, f"--public-demo does not go with {option}: ")


def test_driver_of_public_demo_refuses_other_bundle(tmp_path: Path) -> None:
    bundle = tmp_path / "demo"
    shutil.copytree(DEMO_BUNDLE, bundle)
    read_manifest(bundle).model_copy(update={"version": "2"}).sealed().write(bundle)
    command = [sys.executable, "-m", "serve_app", "--config", str(SPACE_PROFILE), "--demo-only"]
    done = subprocess.run(
        [*command, "--bundle", str(bundle)],
        env={**os.environ, "LESIONSERVE_SERVICE_TOKENS": "t" * 32},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"error: {bundle} holds demo 2, and a public demo serves the synthetic" in done.stderr
