from pathlib import Path

import pytest
import typer

from cluster.cli.class_names import read_class_names


def test_each_option_gives_names_in_order(tmp_path: Path) -> None:
    file = tmp_path / "names.txt"
    file.write_text("LSIL, low\n HSIL \ncarcinoma\n\n")
    assert read_class_names("LSIL, HSIL", None, None) == ["LSIL", "HSIL"]
    assert read_class_names(None, ["LSIL, low", "HSIL"], None) == ["LSIL, low", "HSIL"]
    assert read_class_names(None, None, file) == ["LSIL, low", "HSIL", "carcinoma"]
    assert read_class_names(None, None, None) is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_file_of_names_is_read_in_its_encoding(tmp_path: Path, encoding: str) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes("Läsion\r\nCarcinoma\r\n".encode(encoding))
    assert read_class_names(None, None, file) == ["Läsion", "Carcinoma"]


@pytest.mark.parametrize("content", [b"", b"a\n\nb\n", b"a\na\n", b"PK\x03\x04", b"a\x07b"])
def test_invalid_file_of_class_names_is_misuse(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "names.txt"
    file.write_bytes(content)
    with pytest.raises(typer.BadParameter):
        read_class_names(None, None, file)


def test_two_options_or_missing_file_are_misuse(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match="one of"):
        read_class_names("a", ["b"], None)
    with pytest.raises(typer.BadParameter, match="cannot read"):
        read_class_names(None, None, tmp_path / "gone.txt")
