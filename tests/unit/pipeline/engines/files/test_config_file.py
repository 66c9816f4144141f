"""Test configurations as other programs write them. The tests write each file byte by byte."""

from pathlib import Path

import pytest
import yaml

from pipeline.engines.files import yaml_text
from pipeline.engines.files.config_file import load_config_file, read_config_file
from pipeline.engines.portable.config import parse_config
from pipeline.errors import UnreadableConfig
from tests.models import SMALL, tree


def refusal(path: Path) -> str:
    """Return the message that refuses a file. Assert that it is one line of at most 1 kB."""
    with pytest.raises(UnreadableConfig) as caught:
        load_config_file(path)
    assert len(str(caught.value)) <= 1000
    assert str(caught.value).isprintable()
    return str(caught.value)


def dumped(section: object, indent: str = "") -> str:
    """Return a section as `yaml.dump(cfg)` writes a CfgNode."""
    if not isinstance(section, dict):
        text = yaml.safe_dump(section, default_flow_style=True)
        return f" {text.removesuffix('...' + chr(10)).strip()}\n"
    lines = f" !!python/object/new:detectron2.config.config.CfgNode\n{indent}dictitems:\n"
    for key, value in section.items():
        lines += f"{indent}  {key}:{dumped(value, indent + '    ')}"
    return f"{lines}{indent}state:\n{indent}  __immutable__: false\n{indent}  __x__: !!set {{}}\n"


def test_reads_dump_of_cfgnode_as_its_items(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(dumped(SMALL).lstrip())
    assert load_config_file(path) == tree()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_reads_config_in_utf8_and_utf16(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(f"# Größe\n{yaml.safe_dump(SMALL)}".encode(encoding))
    assert read_config_file(path).tree == tree()
    assert read_config_file(path).remarks == ()


def test_reads_windows_1252_with_remark(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_bytes(f"OUTPUT_DIR: C:/Jürgen\n{yaml.safe_dump(SMALL)}".encode("cp1252"))
    file = read_config_file(path)
    assert file.tree["OUTPUT_DIR"] == "C:/Jürgen"
    assert "Windows-1252" in file.remarks[0]


@pytest.mark.parametrize(
    "line",
    [
        "OUTPUT_DIR: !!python/object/apply:pathlib.PosixPath [out]",
        "DATASETS: {TRAIN: !!python/name:builtins.tuple ''}",
        "SOLVER: {LR: !!python/object/apply:eval ['1']}",
        "MODEL: {WEIGHTS: !mine x}",
    ],
)
def test_leaves_out_training_key_with_python_tag(tmp_path: Path, line: str) -> None:
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SMALL))
    path = tmp_path / "c.yaml"
    path.write_text(f"_BASE_: small.yaml\n{line}\n")
    assert parse_config(load_config_file(path)) == parse_config(tree())


def test_error_names_key_with_python_code_and_remedy(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "MODEL:\n  ANCHOR_GENERATOR:\n"
        "    SIZES: !!python/object/apply:eval ['[[x] for x in (8, 16)]']\n"
    )
    (tmp_path / "c.yaml").write_text("_BASE_: base.yaml\n")
    text = refusal(tmp_path / "c.yaml")
    assert "base.yaml, line 3: MODEL.ANCHOR_GENERATOR.SIZES" in text
    assert "!!python/object/apply:eval" in text
    assert "cfg.dump()" in text


def test_runs_no_code_of_tag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("OUTPUT_DIR: !!python/object/apply:builtins.print [ran]\n")
    assert load_config_file(path) == {}
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("name", "content", "word"),
    [
        ("c.py", b"from ..common import model\n", "LazyConfig"),
        ("c.yaml", b"model: {_target_: detectron2.GeneralizedRCNN}\n", "LazyConfig"),
        ("c.yaml", b"PK\x03\x04" + bytes(300_000), "checkpoint"),
        ("c.yaml", b"\x80\x02}q\x00.", "checkpoint"),
        ("c.yaml", b"a: " + b"x" * 300_000, "larger than"),
        ("c.yaml", b"a: \x00", "U+0000"),
        ("c.yaml", b"a: !!int x\n", "invalid literal"),
        ("c.yaml", b"a: !!int ''\n", "does not fit its tag"),
        ("c.yaml", b"a: !!bool x\n", "does not fit its tag"),
        ("c.yaml", b"a: !!timestamp x\n", "does not fit its tag"),
        ("c.yaml", b"a: 2020-13-45\n", "month"),
        ("c.yaml", b"a: &a [*a]\n", "contains itself"),
        ("c.yaml", b"a: !!python/tuple {}\n", "a list is expected"),
        ("c.yaml", b"!!python/object:x.Y {a: 1}\n", "!!python/object:x.Y"),
        ("c.yaml", b"", "is not a YAML mapping"),
    ],
)
def test_error_names_kind_of_file_that_is_no_configuration(
    tmp_path: Path, name: str, content: bytes, word: str
) -> None:
    (tmp_path / name).write_bytes(content)
    assert word in refusal(tmp_path / name)


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("../Base-RCNN-FPN.yaml", ("Base-RCNN-FPN.yaml", "there is no file", "cfg.dump()")),
        ("https://example.org/base.yaml", ("https://example.org", "does not download")),
        ("detectron2://base.yaml", ("does not download",)),
        ("x" * 5000, ("_BASE_",)),
        ("a\0b", ("_BASE_",)),
        (".", ("not a regular file",)),
    ],
)
def test_error_names_missing_base(tmp_path: Path, base: str, words: tuple[str, ...]) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(yaml.safe_dump({"_BASE_": base}))
    text = refusal(path)
    assert all(word in text for word in words)


def test_rejects_bases_that_multiply(tmp_path: Path) -> None:
    for depth in range(8):
        (tmp_path / f"{depth}.yaml").write_text(f"_BASE_: [{f'{depth + 1}.yaml, ' * 9}]\n")
    (tmp_path / "8.yaml").write_text("VERSION: 2\n")
    assert "more than 50 files" in refusal(tmp_path / "0.yaml")


def aliases(line: str) -> str:
    """Return YAML of nine levels of aliases, each nine times the size of the level before."""
    text = "a0: &a0 {k: v}\n"
    for depth in range(1, 10):
        text += line.format(depth, ", ".join([f"*a{depth - 1}"] * 9))
    return text


@pytest.mark.parametrize("line", ["a{0}: &a{0} [{1}]\n", "a{0}: &a{0} {{<<: [{1}]}}\n"])
def test_rejects_aliases_that_multiply(tmp_path: Path, line: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(aliases(line))
    assert f"more than {yaml_text.MAX_VALUES} values" in refusal(path)


def test_reads_number_of_many_digits_without_parsing_it(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(f"OUTPUT_DIR: [1{':59' * 50_000}, 0x{'f' * 50_000}, {'9' * 5000}]\n")
    assert len(load_config_file(path)["OUTPUT_DIR"]) == 3


def test_last_of_repeated_keys_wins_with_remark(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("MODEL: {MASK_ON: true}\nMODEL: {DEVICE: cpu}\n")
    file = read_config_file(path)
    assert file.tree == {"MODEL": {"DEVICE": "cpu"}}
    assert "MODEL more than once" in file.remarks[0]


def test_rejects_device_or_folder_without_reading_it(tmp_path: Path) -> None:
    assert "not a regular file" in refusal(Path("/dev/zero"))
    assert "not a regular file" in refusal(tmp_path)
