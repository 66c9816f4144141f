import json
from pathlib import Path

import pytest
from PIL import Image

from cluster.cli.main import main
from pipeline.schemas import Prediction
from pipeline.scores import percent
from tests.integration.cli.command import run


def test_json_is_one_prediction_per_line(model: list[str], image: Path) -> None:
    result = run("predict", image, image, *model, "--format", "json")
    assert result.exit_code == 0, result.output
    documents = [Prediction.model_validate_json(line) for line in result.stdout.splitlines()]
    assert len(documents) == 2
    assert documents[0].detections == documents[1].detections
    assert documents[0].detections
    assert documents[0].visualization is None


def test_table_shows_classes_and_scores(model: list[str], image: Path) -> None:
    result = run("predict", image, *model)
    assert result.exit_code == 0, result.output
    assert "case.png (100x80)" in result.stdout
    assert "LSIL" in result.stdout
    answer = json.loads(run("predict", image, *model, "--format", "json").stdout)
    assert percent(answer["detections"][0]["score"]) in result.stdout


def test_table_counts_detections_below_threshold(model: list[str], image: Path) -> None:
    everything = json.loads(run("predict", image, *model, "--format", "json").stdout)
    result = run("predict", image, *model, "--score-threshold", "1")
    assert result.exit_code == 0, result.output
    count = len(everything["detections"])
    assert count
    assert f"{count} below the threshold of 100.0 % hidden" in " ".join(result.stdout.split())


def test_bad_file_is_reported_and_others_continue(
    model: list[str], image: Path, tmp_path: Path
) -> None:
    text = tmp_path / "notes.txt"
    text.write_text("no image")
    result = run("predict", text, tmp_path / "gone.jpg", image, *model, "--format", "json")
    assert result.exit_code == 1
    assert len(result.stdout.splitlines()) == 1
    assert "notes.txt" in result.stderr
    assert "gone.jpg: No such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_out_numbers_json_and_overlays_of_same_name(
    model: list[str], image: Path, tmp_path: Path
) -> None:
    twin = tmp_path / "other" / "case.png"
    twin.parent.mkdir()
    twin.write_bytes(image.read_bytes())
    out = tmp_path / "out"
    result = run("predict", image, twin, *model, "--out", out)
    assert result.exit_code == 0, result.output
    names = sorted(path.name for path in out.iterdir())
    assert names == ["case-1.json", "case-1.overlay.jpg", "case-2.json", "case-2.overlay.jpg"]
    assert Image.open(out / "case-1.overlay.jpg").size == (100, 80)
    assert json.loads((out / "case-1.json").read_text())["visualization"] is None


@pytest.mark.parametrize(
    "arguments",
    [
        ["--config", "a.yaml"],
        ["--config", "a", "--weights", "b", "--classes", "c", "--bundle", "d"],
        ["--url", "http://127.0.0.1:1"],
        ["--url", "http://127.0.0.1:1", "--key", "k", "--bundle", "d"],
        ["--url", "http://127.0.0.1:1", "--key", "k", "--engine", "portable"],
        ["--url", "http://127.0.0.1:1", "--key", "ключ"],
        ["--url", "https://127.0.0.1:1", "--key", "k", "--ca", "gone.pem"],
        ["--key", "k"],
        ["--ca", "a.pem"],
        ["--engine", "tensorrt"],
        ["--score-threshold", "2"],
        ["--score-threshold", "0_1"],
        ["--masks", "png"],
        ["--no-such-option"],
    ],
)
def test_misuse_exits_with_2(image: Path, arguments: list[str]) -> None:
    assert run("predict", image, *arguments).exit_code == 2


@pytest.mark.parametrize("classes", ["a,a", "a,,b", ""])
def test_repeated_or_empty_class_names_are_misuse(
    model: list[str], image: Path, classes: str
) -> None:
    assert run("predict", image, *model[:4], "--classes", classes).exit_code == 2


def test_labels_and_file_names_are_not_read_as_markup(
    model: list[str], image: Path, tmp_path: Path
) -> None:
    odd = image.rename(tmp_path / "[red]q.png")
    result = run("predict", odd, *model[:4], "--classes", "[/x],[/y]")
    assert result.exit_code == 0, result.output
    assert "[red]q.png" in result.stdout
    assert "[/x]" in result.stdout


def test_request_id_has_number_of_file(model: list[str], image: Path, tmp_path: Path) -> None:
    result = run("predict", tmp_path / "gone.png", image, *model, "--format", "json")
    assert json.loads(result.stdout)["request_id"] == "local-2"


def test_out_that_is_file_fails_in_one_line(
    model: list[str],
    image: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command = ["lesionserve", "predict", str(image), *model, "--out", str(image)]
    monkeypatch.setattr("sys.argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err.splitlines() == [f"lesionserve: {image}: File exists"]
