"""`lesionserve demo` as a newcomer meets it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import psutil
import pytest
from PIL import Image

from cluster.paths import DEMO_IMAGE
from pipeline.schemas import Prediction

COMMAND = Path(sys.executable).with_name("lesionserve")
WITHIN_S = 300


# A user id of which the system knows neither a name nor a home, as containers are started with.
UNKNOWN = ("unshare", "--user", "--map-user=54321", "--map-group=54321")


def demo(
    folder: Path, *options: str, prefix: Sequence[str] = (), home: bool = True
) -> subprocess.CompletedProcess[str]:
    temp = folder / "t"
    temp.mkdir()
    environment = {**os.environ, "TMPDIR": str(temp), "COLUMNS": "100"}
    for name in ("HOME", "LOGNAME", "USER", "LNAME", "USERNAME"):
        environment.pop(name, None)
    if home:
        environment["HOME"] = str(folder / "home")
    return subprocess.run(
        [*prefix, COMMAND, "demo", *options],
        cwd=folder,
        env=environment,
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
def test_demo_answers_and_leaves_only_its_output(tmp_path):
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


@pytest.mark.cluster
@pytest.mark.slow
def test_demo_works_for_unknown_user_without_home(tmp_path):
    if shutil.which("unshare") is None or subprocess.run([*UNKNOWN, "true"]).returncode != 0:
        pytest.skip("no user namespaces here")
    done = demo(tmp_path, "--out", "answer", prefix=UNKNOWN, home=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert (tmp_path / "answer/prediction.json").is_file()


def test_missing_image_is_refused_before_anything_starts(tmp_path):
    done = demo(tmp_path, "--image", "gone.jpg")
    assert done.returncode == 1
    assert done.stderr.strip() == "lesionserve: gone.jpg: No such file or directory"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t"]
