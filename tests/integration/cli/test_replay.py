import json
from pathlib import Path

import pytest
from PIL import Image

from cluster.paths import DEMO_BUNDLE
from pipeline.bundle.manifest import read_manifest
from tests.integration.cli.command import run
from tests.integration.cli.command_process import KEY
from tests.integration.small_bundles import IMAGE, pack_bundle


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two bundles, an image, and the answer of the first one to it."""
    folder = tmp_path_factory.mktemp("replay")
    for version in ("1", "2"):
        pack_bundle(folder, version)
    (folder / "case.jpg").write_bytes(IMAGE)
    out = folder / "out"
    predicted = run("predict", folder / "case.jpg", "--bundle", folder / "1", "--out", out)
    assert predicted.exit_code == 0, predicted.output
    assert json.loads((out / "case.json").read_text())["detections"]
    return folder


def test_replay_of_unchanged_model_is_same(folder: Path) -> None:
    answer, image = folder / "out" / "case.json", folder / "case.jpg"
    result = run("replay", answer, "--image", image, "--bundle", folder / "1")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("same: the image gives the same answer")
    assert "image: the same: its SHA-256 is that of the answer" in lines
    assert not any(" then, " in line for line in lines)


def test_replay_names_each_fact_that_differs(folder: Path) -> None:
    answer, image = folder / "out" / "case.json", folder / "case.jpg"
    result = run("replay", answer, "--image", image, "--bundle", folder / "2", "--format", "json")
    assert result.exit_code == 0, result.output  # the second bundle has the same weights
    report = json.loads(result.stdout)
    differing = {fact["name"] for fact in report["facts"] if fact["then"] != fact["now"]}
    assert differing == {"version", "bundle_sha256"}
    (digest,) = [fact for fact in report["facts"] if fact["name"] == "bundle_sha256"]
    assert digest["then"] == read_manifest(folder / "1").digest


def test_replay_with_another_model_is_different(folder: Path) -> None:
    answer, image = folder / "out" / "case.json", folder / "case.jpg"
    result = run("replay", answer, "--image", image, "--bundle", DEMO_BUNDLE)
    assert result.exit_code == 1, result.output
    assert result.stdout.startswith("different: the same image gives another answer")
    assert "lesion 0: " in result.stdout
    assert "name: small then, " in result.stdout


def test_replay_with_another_image_is_different_without_asking_a_model(folder: Path) -> None:
    other = folder / "other.jpg"
    Image.open(folder / "case.jpg").save(other, quality=30)
    result = run("replay", folder / "out" / "case.json", "--image", other)
    assert result.exit_code == 1, result.output
    assert result.stdout.splitlines()[1:] == ["image: another one"]


def test_changed_lesion_of_kept_answer_is_named(folder: Path, tmp_path: Path) -> None:
    document = json.loads((folder / "out" / "case.json").read_text())
    lesion = document["detections"][0]
    lesion["score"] = document["metrics"]["scores"][0] = lesion["score"] - 0.05
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(document))
    result = run("replay", kept, "--image", folder / "case.jpg", "--bundle", folder / "1")
    assert result.exit_code == 1, result.output
    assert result.stdout.count("lesion 0: ") == 1
    assert "differs in score" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["gone.json", "--image", "case.jpg"], "gone.json: No such file"),
        (["case.jpg", "--image", "case.jpg"], "case.jpg: it is not JSON"),
        (["out/case.json", "--image", "gone.jpg"], "gone.jpg: No such file"),
        (["out/case.json", "--image", "case.jpg", "--bundle", "out"], "no bundle"),
        (
            ["out/case.json", "--image", "case.jpg", "--bundle", "1", "--precision", "int8"],
            "int8",
        ),
    ],
    ids=["no record", "another file", "no image", "no bundle", "no such precision"],
)
def test_question_without_an_answer_exits_with_3(
    folder: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], reason: str
) -> None:
    monkeypatch.chdir(folder)
    result = run("replay", *arguments)
    assert result.exit_code == 3, result.output
    assert result.stdout == ""
    assert "it cannot be told: " in result.stderr
    assert reason in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_gateway_and_bundle_together_are_misuse(folder: Path) -> None:
    arguments = ["--image", folder / "case.jpg", "--url", "https://gateway", "--key", "k"]
    result = run("replay", folder / "out" / "case.json", *arguments, "--bundle", folder / "1")
    assert result.exit_code == 2


def test_replay_asks_gateway(url: str, tmp_path: Path) -> None:
    image = tmp_path / "case.jpg"
    image.write_bytes(IMAGE)
    predicted = run("predict", image, "--url", url, "--key", KEY, "--format", "json")
    document = json.loads(predicted.stdout)
    del document["image"]["sha256"]  # the fake gateway answers for an image of its own
    document["image"] |= {"width": 160, "height": 120}
    document["detections"][0]["mask"]["size"] = [120, 160]
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps(document))
    result = run("replay", kept, "--image", image, "--url", url, "--key", KEY)
    assert result.exit_code == 3, result.output
    assert "image: perhaps the same" in result.stdout
