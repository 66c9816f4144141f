import os

import pytest

from pipeline.secret_files import SecretFileError, read_secret_files


@pytest.mark.parametrize("content", [b"secret", b"secret\n", b"secret\r\n", b" secret \n"])
def test_file_gives_value_without_its_line_end(tmp_path, content):
    path = tmp_path / "token"
    path.write_bytes(content)
    values = read_secret_files({"TOKEN_FILE": str(path), "PATH": "/bin"}, ["TOKEN", "KEY"])
    assert values == {"TOKEN": "secret", "TOKEN_FILE": str(path), "PATH": "/bin"}


def test_variables_without_files_are_returned_as_they_are():
    variables = {"TOKEN": "secret", "OTHER_FILE": "/no/such/file"}
    assert read_secret_files(variables, ["TOKEN"]) == variables


def test_empty_variable_gives_way_to_file(tmp_path):
    (tmp_path / "token").write_text("secret")
    variables = {"TOKEN": "", "TOKEN_FILE": str(tmp_path / "token")}
    assert read_secret_files(variables, ["TOKEN"])["TOKEN"] == "secret"


def test_variable_beside_file_is_refused(tmp_path):
    (tmp_path / "token").write_text("of the file")
    variables = {"TOKEN": "of the variable", "TOKEN_FILE": str(tmp_path / "token")}
    with pytest.raises(SecretFileError, match=r"^TOKEN_FILE: TOKEN is set as well") as refusal:
        read_secret_files(variables, ["TOKEN"])
    assert "of the file" not in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"first\nsecond\n", "more than one line"),
        (b"sec\0ret", "control characters"),
        (b"\xff\xfe", "UTF-8"),
        (b"x" * 65_537, "more than 64 KiB"),
    ],
)
def test_error_names_variable_and_never_value(tmp_path, content, reason):
    path = tmp_path / "token"
    path.write_bytes(content)
    with pytest.raises(SecretFileError, match=f"^TOKEN_FILE: .*{reason}") as refusal:
        read_secret_files({"TOKEN_FILE": str(path)}, ["TOKEN"])
    assert len(str(refusal.value)) < 300
    assert "first" not in str(refusal.value)


def test_folder_missing_file_and_empty_path_are_refused(tmp_path):
    variables = {"A_FILE": str(tmp_path), "B_FILE": str(tmp_path / "none"), "C_FILE": ""}
    with pytest.raises(SecretFileError) as refusal:
        read_secret_files(variables, ["A", "B", "C"])
    assert str(refusal.value).splitlines() == [
        f"A_FILE: {tmp_path} cannot be read: Is a directory",
        f"B_FILE: {tmp_path / 'none'} cannot be read: No such file or directory",
        "C_FILE: no file is named",
    ]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_file_of_another_user_is_refused(tmp_path):
    path = tmp_path / "token"
    path.write_text("secret")
    path.chmod(0)
    with pytest.raises(SecretFileError, match="Permission denied"):
        read_secret_files({"TOKEN_FILE": str(path)}, ["TOKEN"])
