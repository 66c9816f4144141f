"""Exported feedback, read by Label Studio's SDK and by datumaro, which CVAT imports with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.reviews.export.coco import coco_text
from gateway.reviews.export.cvat import cvat_text
from gateway.reviews.export.label_studio import config_of, label_studio_text
from serve_app.paths import ROOT
from tests.unit.gateway.reviews.export.reviews import (
    SQUARE,
    TRIANGLE,
    TWO_RINGS,
    digest,
    reviewed_clinic,
    selection,
)

pytestmark = pytest.mark.django_db

PARSERS = Path(__file__).parent / "parsers"
CLASSES = ("LSIL", "HSIL", "carcinoma")
# Kept between runs.
ENVIRONMENT = ROOT / "out" / "parsers"


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python with the parsers, in an environment that is made on first use."""
    installed = ENVIRONMENT / "bin" / "python"
    uv = Path(sys.executable).with_name("uv")
    if not installed.exists():
        _run(uv, "venv", "--quiet", "--python", sys.executable, ENVIRONMENT)
    requirements = PARSERS / "requirements.txt"
    _run(uv, "pip", "install", "--quiet", "--python", installed, "--requirement", requirements)
    return installed


def _run(*command: object) -> None:
    """Run a command of the set-up, and skip the tests with its reason where it fails."""
    try:
        done = subprocess.run(
            list(map(str, command)), capture_output=True, text=True, timeout=600, check=False
        )
    except OSError as error:
        pytest.skip(f"the parsers cannot be installed: {error}")
    if done.returncode:
        pytest.skip(f"the parsers cannot be installed: {done.stderr.strip()[-300:]}")


@pytest.fixture
def seen(python: Path, tmp_path: Path) -> dict[str, Any]:
    """What the parsers see of the reviews of a clinic, without those that have gaps."""
    reviewed_clinic()
    names = ("lesions", "disputed", "nothing", "blurred", "gaps")
    chosen = selection(files={digest(name): f"{name}.png" for name in names})
    (tmp_path / "coco.json").write_text(coco_text(chosen, CLASSES))
    (tmp_path / "cvat.xml").write_text(cvat_text(chosen, CLASSES))
    (tmp_path / "tasks.json").write_text(label_studio_text(chosen, CLASSES))
    (tmp_path / "config.xml").write_text(config_of(CLASSES))
    done = subprocess.run(
        [python, PARSERS / "read_exports.py", tmp_path],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads((tmp_path / "seen.json").read_text())  # type: ignore[no-any-return]


def shapes(annotations: list[dict[str, Any]]) -> list[tuple[str, str, list[float]]]:
    """Return type, label and points of each annotation, in one order.

    Of COCO's annotations datumaro also makes a box each.
    """
    rows = ((each["type"], each["label"], each["points"]) for each in annotations)
    return sorted(row for row in rows if row[0] != "bbox")


def test_parsers_see_what_reviewers_said(seen):
    rings = [
        ("polygon", "HSIL", TRIANGLE[0]),
        ("polygon", "LSIL", SQUARE[0]),
        ("polygon", "carcinoma", TWO_RINGS[0]),
        ("polygon", "carcinoma", TWO_RINGS[1]),
    ]
    for name in ("coco", "cvat"):
        images = seen[name]
        assert shapes(images["lesions"]) == sorted(rings), name
        assert shapes(images["disputed"]) == [("polygon", "LSIL", TRIANGLE[0])]
        assert images["nothing"] == []
        for annotation in images["lesions"]:
            assert annotation["attributes"].get("reviewer", "user:jane") == "user:jane"
    assert set(seen["coco"]) == {"lesions", "disputed", "nothing"}


def test_cvat_keeps_rings_together_and_tags_ungradable_images(seen):
    of_carcinoma = [
        each["group"] for each in seen["cvat"]["lesions"] if each["label"] == "carcinoma"
    ]
    assert of_carcinoma == [2, 2]
    (tag,) = seen["cvat"]["blurred"]
    assert (tag["type"], tag["label"]) == ("label", "ungradable")
    assert tag["attributes"]["reason"] == "out_of_focus"


def test_label_studio_takes_tasks_and_converts_outlines(seen):
    label_studio = seen["label_studio"]
    assert all(label_studio["tasks"])
    assert all(label_studio["annotations"])
    # Jane's rings of two images, and John's of one.
    of_jane = [
        ("LSIL", SQUARE[0]),
        ("carcinoma", TWO_RINGS[0]),
        ("carcinoma", TWO_RINGS[1]),
    ]
    expected = sorted([*of_jane, *of_jane, ("HSIL", TRIANGLE[0]), ("LSIL", TRIANGLE[0])])
    polygons = label_studio["polygons"]
    assert [label for label, _ in polygons] == [label for label, _ in expected]
    for (_, points), (_, wanted) in zip(polygons, expected, strict=True):
        assert points == pytest.approx(wanted, abs=1e-6)
