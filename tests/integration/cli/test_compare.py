import json
from pathlib import Path

import pytest
from PIL import Image

from cluster.paths import DEMO_BUNDLE
from serve_app.paths import ROOT
from tests.bundle_variants import with_threshold
from tests.integration.cli.command import run

IMAGE = ROOT / "weights/example.jpg"


@pytest.fixture(scope="module")
def strict(tmp_path_factory) -> Path:
    """The demo bundle with a score threshold that drops some of the lesions of the example."""
    scores = json.loads(run("predict", IMAGE, "--format", "json").stdout)["metrics"]["scores"]
    assert len(scores) > 1
    folder = tmp_path_factory.mktemp("bundles") / "strict"
    return with_threshold(folder, (scores[0] + scores[-1]) / 2)


def test_bundle_agrees_with_itself():
    result = run("compare", DEMO_BUNDLE, DEMO_BUNDLE, IMAGE, "--format", "json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["summary"]["agreed"] > 0
    assert report["summary"]["alike"]["value"] == 1
    assert report["summary"]["largest_score_delta"] == 0
    assert [image["disagreement"] for image in report["images"]] == [0]


def test_lost_lesions_are_counted_and_drawn(strict: Path, tmp_path: Path):
    picture = tmp_path / "worst.jpg"
    result = run("compare", DEMO_BUNDLE, strict, IMAGE, IMAGE, "--out", picture, "--format", "json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    summary = report["summary"]
    assert summary["lost"] > 0
    assert summary["added"] == summary["reclassified"] == 0
    assert summary["alike"]["value"] == 0
    assert report["b"]["version"] == "strict"
    with Image.open(picture) as drawn:
        assert drawn.size == (960, 2 * 388)


def test_table_names_models_and_images(strict: Path):
    result = run("compare", DEMO_BUNDLE, strict, IMAGE)
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    assert "example.jpg" in text
    assert "lost by B" in text
    assert "demo strict (" in text
    assert "95 % interval" in text


def test_bad_file_is_reported_and_others_are_compared(tmp_path: Path):
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    result = run("compare", DEMO_BUNDLE, DEMO_BUNDLE, text, IMAGE, "--format", "json")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["summary"]["images"] == 1
    assert "notes.txt" in result.stderr


def test_folder_without_bundle_is_refused(tmp_path: Path):
    result = run("compare", DEMO_BUNDLE, tmp_path, IMAGE)
    assert result.exit_code != 0
