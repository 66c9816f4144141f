"""`lesionserve demo` as a newcomer meets it."""

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from PIL import Image

from cluster.paths import DEMO_IMAGE
from pipeline.schemas import Prediction

COMMAND = Path(sys.executable).with_name("lesionserve")
WITHIN_S = 300


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    temp = folder / "t"
    temp.mkdir()
    return subprocess.run(
        [COMMAND, "demo", *options],
        cwd=folder,
        env={**os.environ, "TMPDIR": str(temp), "HOME": str(folder / "home"), "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
    )


def strangers(temp: Path) -> list[str]:
    """Processes that still have the demo's temporary folder in their command line."""
    lines = []
    for process in psutil.process_iter(["cmdline"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(temp) in line:
            lines.append(line)
    return lines


@pytest.mark.cluster
def test_it_answers_and_leaves_only_what_it_wrote(tmp_path):
    done = demo(tmp_path, "--out", "answer")
    assert done.returncode == 0, done.stderr
    for label in ("LSIL", "HSIL", "carcinoma"):
        assert label in done.stdout
    prediction = Prediction.model_validate_json((tmp_path / "answer/prediction.json").read_bytes())
    assert prediction.model.name == "demo"
    assert sum(prediction.metrics.class_distribution.values()) == len(prediction.detections) > 0
    with Image.open(tmp_path / "answer/overlay.jpg") as overlay, Image.open(DEMO_IMAGE) as image:
        assert overlay.size == image.size
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*"))
    assert left == ["answer", "answer/overlay.jpg", "answer/prediction.json", "t"]
    assert strangers(tmp_path / "t") == []


def test_an_image_that_is_not_there_is_said_before_anything_starts(tmp_path):
    done = demo(tmp_path, "--image", "gone.jpg")
    assert done.returncode == 1
    assert done.stderr.strip() == "lesionserve: gone.jpg: No such file or directory"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t"]
