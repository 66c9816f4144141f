from pathlib import Path

import pytest
import typer

from cluster.class_names import read_class_names
from pipeline.class_names import check_class_names, count_mismatch
from pipeline.errors import BundleError


def test_each_option_gives_class_names_in_order(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("LSIL, low\n HSIL \ncarcinoma\n\n")
    assert read_class_names("LSIL, HSIL", None, None) == ["LSIL", "HSIL"]
    assert read_class_names(None, ["LSIL, low", "HSIL"], None) == ["LSIL, low", "HSIL"]
    assert read_class_names(None, None, file) == ["LSIL, low", "HSIL", "carcinoma"]
    assert read_class_names(None, None, None) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_reads_file_of_names_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("Läsion\r\nCarcinoma\r\n".encode(encoding))
    assert read_class_names(None, None, file) == ["Läsion", "Carcinoma"]


@pytest.mark.parametrize("content", [b"", b"a\n\nb\n", b"a\na\n", b"PK\x03\x04", b"a\x07b"])
def test_rejects_file_without_valid_class_names(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes(content)
    with pytest.raises(typer.BadParameter):
        read_class_names(None, None, file)


def test_rejects_two_options_at_once(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="one of"):
        read_class_names("a", ["b"], None)
    with pytest.raises(typer.BadParameter, match="cannot read"):
        read_class_names(None, None, tmp_path / "gone.txt")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([], "no class name"),
        (["a", "b", "a"], "class names 1 and 3 are both 'a'"),
        (["a", " "], "class name 2 of 2 is empty"),
        (["a\nb"], "one line"),
        (["x" * 201], "200 characters"),
    ],
)
def test_rejects_invalid_class_names(names: list[str], text: str) -> None:
    with pytest.raises(BundleError, match=text):
        check_class_names(names)


@pytest.mark.parametrize(
    ("classes", "hint"), [(2, "leave it out"), (4, "Roboflow"), (9, "3 names were given: ")]
)
def test_wrong_number_of_names_has_hint(classes: int, hint: str) -> None:
    text = count_mismatch(classes, ["lesions", "LSIL", "HSIL"])
    assert hint in text
    assert text.startswith(f"the model has {classes} classes, but 3 names")
