import os
import stat
import subprocess
from pathlib import Path

import pytest

from cluster.errors import StackError
from cluster.launcher.data_folder import open_data_folder, private_files


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_new_data_folder_is_private(tmp_path):
    assert open_data_folder(tmp_path / "a" / "data") == []
    assert mode(tmp_path / "a" / "data") == 0o700


def test_folder_open_to_others_is_made_private_with_its_files(tmp_path):
    folder = tmp_path / "data"
    (folder / "logs" / "start").mkdir(parents=True)
    (folder / "tls").mkdir()
    for name in ("gateway.env", "lesionserve.sqlite3", "lesionserve.sqlite3-wal", "tls/ca.key"):
        (folder / name).touch(mode=0o644)
    (folder / "logs/start/serve.log").touch(mode=0o666)
    folder.chmod(0o755)
    assert "was open to others" in "".join(open_data_folder(folder))
    assert [path for path in [folder, *folder.rglob("*")] if mode(path) & 0o077] == []
    assert open_data_folder(folder) == []


def test_folder_with_other_files_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").touch(mode=0o644)
    (tmp_path / "notes.txt").chmod(0o644)
    assert "open to others" in "".join(open_data_folder(tmp_path))
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "notes.txt") == 0o644


@pytest.mark.parametrize("bits", [0o777, 0o1777])
def test_rejects_folder_that_everybody_may_write(tmp_path, bits):
    tmp_path.chmod(bits)
    with pytest.raises(StackError, match="every user of this machine may write") as raised:
        open_data_folder(tmp_path)
    assert raised.value.exit_status == 2
    assert list(tmp_path.iterdir()) == []


def test_new_files_are_private_only_within_block(tmp_path):
    before = os.umask(0o022)
    try:
        with private_files():
            subprocess.run(["touch", tmp_path / "child"], check=True)
        (tmp_path / "after").touch()
    finally:
        os.umask(before)
    assert (mode(tmp_path / "child"), mode(tmp_path / "after")) == (0o600, 0o644)
