import json
from pathlib import Path

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner, Result

from cluster import predict
from cluster.cli import app, main
from pipeline.bundle.bundle import open_bundle
from pipeline.errors import ServiceError
from pipeline.schemas import Prediction, PredictOptions
from pipeline.scores import percent
from tests.models import write_model

OPTIONS = PredictOptions()


@pytest.fixture
def model(tmp_path: Path) -> list[str]:
    config, weights = write_model(tmp_path)
    return ["--config", str(config), "--weights", str(weights), "--classes", "LSIL,HSIL"]


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "case.png"
    pixels = np.random.default_rng(3).integers(0, 256, (80, 100, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_json_is_one_prediction_per_line(model: list[str], image: Path) -> None:
    result = run("predict", image, image, *model, "--format", "json")
    assert result.exit_code == 0, result.output
    documents = [Prediction.model_validate_json(line) for line in result.stdout.splitlines()]
    assert len(documents) == 2
    assert documents[0].detections == documents[1].detections
    assert documents[0].detections
    assert documents[0].visualization is None


def test_the_table_names_classes_and_scores(model: list[str], image: Path) -> None:
    result = run("predict", image, *model)
    assert result.exit_code == 0, result.output
    assert "case.png (100x80)" in result.stdout
    assert "LSIL" in result.stdout
    answer = json.loads(run("predict", image, *model, "--format", "json").stdout)
    assert percent(answer["detections"][0]["score"]) in result.stdout


def test_the_table_counts_what_the_threshold_hid(model: list[str], image: Path) -> None:
    everything = json.loads(run("predict", image, *model, "--format", "json").stdout)
    result = run("predict", image, *model, "--score-threshold", "1")
    assert result.exit_code == 0, result.output
    count = len(everything["detections"])
    assert count
    assert f"{count} below the threshold of 100.0 % hidden" in " ".join(result.stdout.split())


def test_a_bad_file_is_reported_and_the_rest_go_on(
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


def test_out_holds_json_and_overlay_and_twins_are_numbered(
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
def test_class_names_must_be_distinct(model: list[str], image: Path, classes: str) -> None:
    assert run("predict", image, *model[:4], "--classes", classes).exit_code == 2


def test_pack_then_verify(model: list[str], image: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    packed = run(
        "pack", bundle, *model, "--name", "small", "--version", "1", "--golden", image, "--half"
    )
    assert packed.exit_code == 0, packed.output
    verified = run("verify", bundle)
    assert verified.exit_code == 0, verified.output
    assert "1 golden cases reproduced" in verified.stderr
    assert f"{bundle}: small 1" in verified.stderr
    assert "WARNING" not in packed.stderr + verified.stderr


def test_a_bundle_without_golden_cases_is_warned_of(model: list[str], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    packed = run("pack", bundle, *model, "--name", "small", "--version", "1")
    assert packed.exit_code == 0, packed.output
    for result in (packed, run("verify", bundle)):
        assert "WARNING: the bundle has no golden cases" in result.stderr


def test_class_names_with_commas_are_packed(model: list[str], image: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("LSIL, low grade\nHSIL, high grade\n")
    one_by_one = ["--class", "LSIL, low grade", "--class", "HSIL, high grade"]
    for number, options in enumerate((["--classes-file", names], one_by_one)):
        bundle = tmp_path / str(number)
        result = run("pack", bundle, *model[:4], *options, "--name", "s", "--version", "1")
        assert result.exit_code == 0, result.output
        assert open_bundle(bundle).class_names == ["LSIL, low grade", "HSIL, high grade"]
    assert run("predict", image, *model[:4], *one_by_one).exit_code == 0


def test_pack_without_class_names_is_misuse(model: list[str], tmp_path: Path) -> None:
    result = run("pack", tmp_path / "b", *model[:4], "--name", "s", "--version", "1")
    assert result.exit_code == 2
    assert "--classes-file" in result.stderr


def test_what_is_not_used_is_told(model: list[str], image: Path, tmp_path: Path) -> None:
    weights = Path(model[3])
    state = torch.load(weights, weights_only=True)["model"]
    torch.save({"model": state, "ema_state": {k: v + 1 for k, v in state.items()}}, weights)
    bundle = tmp_path / "bundle"
    for result in (
        run("predict", image, *model),
        run("pack", bundle, *model, "--name", "s", "--version", "1", "--golden", image),
        run("verify", bundle),
        run("predict", image, "--bundle", bundle),
    ):
        assert result.exit_code == 0, result.output
        assert result.stderr.count("note: ") == 1
        assert "'ema_state'" in result.stderr


def test_a_damaged_bundle_fails_in_one_line(
    model: list[str],
    image: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bundle = tmp_path / "bundle"
    run("pack", bundle, *model, "--name", "small", "--version", "1")
    with (bundle / "model.pth").open("ab") as file:
        file.write(b"x")
    monkeypatch.setattr("sys.argv", ["lesionserve", "verify", str(bundle)])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    assert capsys.readouterr().err == (
        "lesionserve: model.pth is damaged: its SHA-256 is not the manifest's\n"
    )


def client(handler: object) -> httpx.Client:
    return httpx.Client(transport=httpx.MockTransport(handler))


def test_a_gateways_refusal_is_told_in_its_own_words() -> None:
    problem = {
        "type": "about:blank",
        "title": "Unauthorized",
        "status": 401,
        "detail": "no valid key",
        "code": "unauthorized",
        "request_id": "r-1",
    }
    remote = predict.Remote("https://gateway", "secret", None)
    with (
        client(lambda request: httpx.Response(401, json=problem)) as http,
        pytest.raises(ServiceError, match=r"no valid key \(HTTP 401, r-1\)") as caught,
    ):
        predict.ask(http, remote, b"x", OPTIONS)
    assert "secret" not in str(caught.value)


def test_an_answer_that_is_no_prediction_is_refused() -> None:
    remote = predict.Remote("https://gateway", "secret", None)
    with (
        client(lambda request: httpx.Response(200, text="<html>")) as http,
        pytest.raises(ServiceError, match="not a prediction"),
    ):
        predict.ask(http, remote, b"x", OPTIONS)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.png", "b.png"], ["a", "b"]),
        (["a.png", "a.bmp", "a-1.png"], ["a-2", "a-3", "a-1"]),
        (["a-1.png", "x/a.png", "y/a.png", "x/a-1.png"], ["a-1-1", "a-1", "a-2", "a-1-2"]),
    ],
)
def test_no_two_answers_share_a_name(names: list[str], expected: list[str]) -> None:
    found = predict.output_names([Path(name) for name in names])
    assert found == expected
    assert len(set(found)) == len(found)


def test_labels_and_file_names_are_text_and_no_markup(
    model: list[str], image: Path, tmp_path: Path
) -> None:
    odd = image.rename(tmp_path / "[red]q.png")
    result = run("predict", odd, *model[:4], "--classes", "[/x],[/y]")
    assert result.exit_code == 0, result.output
    assert "[red]q.png" in result.stdout
    assert "[/x]" in result.stdout


def test_json_documents_are_numbered_as_the_files(
    model: list[str], image: Path, tmp_path: Path
) -> None:
    result = run("predict", tmp_path / "gone.png", image, *model, "--format", "json")
    assert json.loads(result.stdout)["request_id"] == "local-2"


@pytest.mark.parametrize("option", ["--name", "--version"])
@pytest.mark.parametrize("value", ["", " ", "x" * 101, "two\nlines"])
def test_a_name_that_no_manifest_takes_is_misuse(
    model: list[str], tmp_path: Path, option: str, value: str
) -> None:
    arguments = {"--name": "small", "--version": "1"} | {option: value}
    flat = [part for pair in arguments.items() for part in pair]
    assert run("pack", tmp_path / "bundle", *model, *flat).exit_code == 2


def test_an_out_that_is_a_file_fails_in_one_line(
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
