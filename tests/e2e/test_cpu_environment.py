"""The demo in an environment of its own with the extras `cpu` and `gateway`: without PyTorch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.paths import DEMO_BUNDLE, DEMO_IMAGE
from pipeline.schemas import Prediction
from serve_app.paths import ROOT

UV = Path(sys.executable).with_name("uv")
MOST_BYTES = 1_000_000_000
WITHIN_S = 600


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package as `make demo` does, and return the folder."""
    folder = tmp_path_factory.mktemp("cpu") / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    install = [UV, "pip", "install", "--quiet", "--python", folder / "bin/python"]
    extras = ["--constraint", ROOT / "constraints.txt", "--editable", f"{ROOT}[cpu,gateway]"]
    subprocess.run([*install, *extras], check=True, timeout=WITHIN_S)
    return folder


def run(environment: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(environment / "bin/lesionserve"), *map(str, arguments)]
    variables = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(
        command, env=variables, capture_output=True, text=True, timeout=WITHIN_S, check=False
    )


def test_environment_is_small_and_has_no_torch(environment: Path) -> None:
    files = (path for path in environment.rglob("*") if path.is_file() and not path.is_symlink())
    assert sum(path.stat().st_size for path in files) < MOST_BYTES
    names = {path.name for path in environment.glob("lib/python3*/site-packages/*")}
    assert {"openvino", "ray", "django"} <= names
    assert not {"torch", "torchvision", "nvidia"} & names


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_golden_cases_reproduce_without_torch(environment: Path, precision: str) -> None:
    done = run(environment, "verify", DEMO_BUNDLE, "--precision", precision)
    assert done.returncode == 0, done.stderr
    assert f"6 golden cases reproduced by the openvino engine in {precision}" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["verify", DEMO_BUNDLE, "--engine", "portable"], "engine 'portable' needs PyTorch"),
        (
            ["predict", DEMO_IMAGE, "--config", DEMO_BUNDLE / "mask_rcnn_config.yaml"]
            + ["--weights", DEMO_BUNDLE / "model.pth", "--classes", "LSIL,HSIL,carcinoma"],
            "without PyTorch only a bundle",
        ),
        (
            ["pack", "nowhere", "--config", "c.yaml", "--weights", "w.pth", "--classes", "a"]
            + ["--name", "a", "--version", "1"],
            "torch is not installed; a bundle needs lesionserve[cpu], a checkpoint",
        ),
    ],
    ids=["engine", "checkpoint", "pack"],
)
def test_what_needs_torch_says_so(environment: Path, arguments: list[object], words: str) -> None:
    done = run(environment, *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.cluster
def test_demo_answers_without_torch(environment: Path, tmp_path: Path) -> None:
    done = run(environment, "demo", "--out", tmp_path / "answer")
    assert done.returncode == 0, done.stderr
    prediction = Prediction.model_validate_json((tmp_path / "answer/prediction.json").read_bytes())
    assert prediction.model.engine == "openvino"
    assert len(prediction.detections) > 0
