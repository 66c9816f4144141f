from pathlib import Path

import pytest
import torch

from cluster.cli.main import main
from pipeline.bundle.bundle import open_bundle
from tests.integration.cli.command import run


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


@pytest.mark.parametrize("option", ["--name", "--version"])
@pytest.mark.parametrize("value", ["", " ", "x" * 101, "two\nlines"])
def test_invalid_bundle_name_or_version_is_misuse(
    model: list[str], tmp_path: Path, option: str, value: str
) -> None:
    arguments = {"--name": "small", "--version": "1"} | {option: value}
    flat = [part for pair in arguments.items() for part in pair]
    assert run("pack", tmp_path / "bundle", *model, *flat).exit_code == 2
