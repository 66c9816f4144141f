import json
import shutil
from pathlib import Path

import pytest
import torch

from cluster.cli.main import main
from pipeline.bundle.bundle import open_bundle
from tests.annotated import write_annotated
from tests.integration.cli.command import run
from tests.models import write_model


def test_verify_accepts_packed_bundle(model: list[str], image: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    packed = run(
        "pack", bundle, *model, "--name", "small", "--version", "1", "--golden", image, "--half"
    )
    assert packed.exit_code == 0, packed.output
    verified = run("verify", bundle)
    assert verified.exit_code == 0, verified.output
    assert "1 golden case reproduced" in verified.stderr
    assert f"{bundle}: small 1" in verified.stderr
    assert "WARNING" not in packed.stderr + verified.stderr


def test_pack_warns_of_missing_golden_cases(model: list[str], tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    packed = run("pack", bundle, *model, "--name", "small", "--version", "1")
    assert packed.exit_code == 0, packed.output
    for result in (packed, run("verify", bundle)):
        assert "WARNING: the bundle has no golden cases" in result.stderr


def test_class_names_with_commas_are_packed(model: list[str], image: Path, tmp_path: Path) -> None:
    names = tmp_path / "names.txt"
    names.write_text("LSIL, low grade\nHSIL, high grade\n")
    class_options = ["--class", "LSIL, low grade", "--class", "HSIL, high grade"]
    for number, options in enumerate((["--classes-file", names], class_options)):
        bundle = tmp_path / str(number)
        result = run("pack", bundle, *model[:4], *options, "--name", "s", "--version", "1")
        assert result.exit_code == 0, result.output
        assert open_bundle(bundle).class_names == ["LSIL, low grade", "HSIL, high grade"]
    assert run("predict", image, *model[:4], *class_options).exit_code == 0


def test_pack_without_class_names_is_misuse(model: list[str], tmp_path: Path) -> None:
    result = run("pack", tmp_path / "b", *model[:4], "--name", "s", "--version", "1")
    assert result.exit_code == 2
    assert "--classes-file" in result.stderr


def test_remarks_name_unused_parts(model: list[str], image: Path, tmp_path: Path) -> None:
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


def test_damaged_bundle_fails_in_one_line(
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


def test_packed_profile_judges_predicted_images(
    model: list[str], image: Path, tmp_path: Path
) -> None:
    images, limits, bundle = tmp_path / "images", tmp_path / "limits.yaml", tmp_path / "bundle"
    images.mkdir()
    shutil.copyfile(image, images / "a.png")
    limits.write_text("luma_mean: {low: 0.9}\nnoise: {high: 1000}")
    packed = run(
        *("pack", bundle, *model, "--name", "small", "--version", "1", "--golden", image),
        *("--profile", images, "--quality-limits", limits),
    )
    assert packed.exit_code == 0, packed.output
    for result in (packed, run("verify", bundle)):
        assert "profile of 1 validation image, answered by the openvino engine" in result.stderr
        assert "gradable: luma_mean at least 0.9, noise at most 1000" in result.stderr
    predicted = run("predict", image, "--bundle", bundle)
    assert "the image is not gradable (too dark)" in " ".join(predicted.stdout.split())


def test_packed_labels_are_said_and_answered(model: list[str], image: Path, tmp_path: Path) -> None:
    labels, bundle = tmp_path / "labels.yaml", tmp_path / "bundle"
    options = ("--name", "small", "--version", "1", "--golden", image, "--labels", labels)
    labels.write_text("polyp: {es: pólipo}")
    refused = run("pack", bundle, *model, *options)
    assert refused.exit_code == 1
    assert "'polyp', which the model does not have" in str(refused.exception)
    labels.write_text("HSIL: {es: alto grado, fr: haut grade}\nLSIL: {es: bajo grado}")
    packed = run("pack", bundle, *model, *options)
    assert packed.exit_code == 0, packed.output
    for result in (packed, run("verify", bundle)):
        assert "class names in es\nclass names in fr, all but 'LSIL'" in result.stderr
    predicted = run("predict", image, "--bundle", bundle, "--format", "json")
    assert json.loads(predicted.stdout)["model"]["labels"] == {
        "HSIL": {"es": "alto grado", "fr": "haut grade"},
        "LSIL": {"es": "bajo grado"},
    }


def test_profile_of_few_images_warns_that_nothing_is_assessed(
    model: list[str], image: Path, tmp_path: Path
) -> None:
    result = run(
        *("pack", tmp_path / "bundle", *model, "--name", "small", "--version", "1"),
        *("--profile", image.parent),
    )
    assert result.exit_code == 0, result.output
    assert "WARNING: images are not assessed: no limits" in result.stderr


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--quality-limits", "limits.yaml"], "--quality-limits goes with --profile"),
        (["--profile", ".", "--images", "."], "--images goes with the COCO file"),
    ],
    ids=["limits", "images"],
)
def test_option_without_its_other_option_is_misuse(
    model: list[str], tmp_path: Path, options: list[str], reason: str
) -> None:
    result = run("pack", tmp_path / "bundle", *model, "--name", "small", "--version", "1", *options)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("option", ["--name", "--version"])
@pytest.mark.parametrize("value", ["", " ", "x" * 101, "two\nlines"])
def test_invalid_bundle_name_or_version_is_misuse(
    model: list[str], tmp_path: Path, option: str, value: str
) -> None:
    arguments = {"--name": "small", "--version": "1"} | {option: value}
    flat = [part for pair in arguments.items() for part in pair]
    assert run("pack", tmp_path / "bundle", *model, *flat).exit_code == 2


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--accuracy", "a.json"], "--accuracy needs --max-loss"),
        (["--max-loss", "0.01"], "--max-loss goes with --accuracy"),
        (["--images", "."], "--images goes with the COCO file"),
        (["--accuracy", "a.json", "--max-loss", "1.5"], "--max-loss"),
    ],
    ids=["no loss", "loss alone", "images alone", "loss above 1"],
)
def test_incomplete_evaluation_is_misuse(
    model: list[str], tmp_path: Path, options: list[str], reason: str
) -> None:
    result = run("pack", tmp_path / "b", *model, "--name", "s", "--version", "1", *options)
    assert result.exit_code == 2
    assert reason in " ".join(result.stderr.replace("│", " ").split())


def test_pack_chooses_precision_and_verify_says_which(image: Path, tmp_path: Path) -> None:
    config, weights = write_model(tmp_path, **{"MODEL.ROI_HEADS.NUM_CLASSES": 1})
    pack = ["--config", config, "--weights", weights, "--classes", "LSIL", "--golden", image]
    pack += ["--name", "s", "--version", "1"]
    plain = tmp_path / "plain"
    assert run("pack", plain, *pack).exit_code == 0
    evaluation = write_annotated(tmp_path / "annotated", open_bundle(plain), max_loss=0.01)
    pack += ["--accuracy", evaluation.annotations, "--max-loss", "0.01"]
    missing = run("pack", tmp_path / "bundle", *pack)
    assert missing.exit_code == 1
    assert "30 images of 30 cannot be found in" in str(missing.exception)
    packed = run("pack", tmp_path / "bundle", *pack, "--images", evaluation.images)
    assert packed.exit_code == 0, packed.output
    choice = open_bundle(tmp_path / "bundle").manifest.precision_choice
    assert choice is not None
    verified = run("verify", tmp_path / "bundle", "--precision", "auto")
    assert verified.exit_code == 0, verified.output
    assert f"reproduced by the openvino engine in {choice.chosen}" in verified.stderr
    for result in (packed, verified):
        lines = " ".join(result.stderr.split())
        assert f"precision auto: {choice.chosen}, the fastest that loses at most 0.01" in lines
        assert "float32: box AP 1.0000, mask AP " in lines
        assert "bfloat16: " in lines
    for command in (["verify", plain], ["predict", image, "--bundle", plain]):
        refused = run(*command, "--precision", "auto")
        assert refused.exit_code == 1
        assert "pack it again with --accuracy" in str(refused.exception)


def test_checkpoint_has_no_precision_of_its_own(model: list[str], image: Path) -> None:
    result = run("predict", image, *model, "--precision", "auto")
    assert result.exit_code == 1
    assert "precision 'auto' is that of a bundle" in str(result.exception)
