import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cluster import workspace
from cluster.errors import StackError
from cluster.workspace import (
    FolderLock,
    make_temp_folder,
    open_data_folder,
    private_files,
    remove_abandoned,
)

HOLD = (
    "import sys; from pathlib import Path; from cluster.workspace import FolderLock; "
    "lock = FolderLock.take(Path(sys.argv[1])); print('held', flush=True); "
)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def holding(folder: Path, then: str) -> subprocess.Popen[bytes]:
    """Start a process that holds the folder's lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLD + then, folder], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_second_start_in_a_folder_is_refused_at_once(tmp_path):
    with holding(tmp_path, "sys.stdin.read()") as other:
        with pytest.raises(StackError, match=rf"in use by .* \(process {other.pid}\)") as raised:
            FolderLock.wait(tmp_path, 60)
        other.kill()
    assert raised.value.exit_status == 2
    FolderLock.wait(tmp_path, 0).release()


def test_the_children_of_a_killed_start_are_waited_for(tmp_path):
    child = "import subprocess, os; os.set_inheritable(lock.descriptor, True); "
    child += "print(subprocess.Popen(['sleep', '60'], close_fds=False, stdout=2).pid, flush=True); "
    with holding(tmp_path, child + "sys.stdin.read()") as launcher:
        pid = int(launcher.stdout.readline())
        launcher.kill()
    with pytest.raises(StackError, match="in use by processes of a start that was killed"):
        FolderLock.wait(tmp_path, 0)
    os.kill(pid, 9)
    FolderLock.wait(tmp_path, 60).release()


def test_a_note_is_read_after_a_kill_alone(tmp_path):
    lock = FolderLock.take(tmp_path)
    lock.note("a key")
    os.close(lock.descriptor)
    lock = FolderLock.take(tmp_path)
    assert lock.left == "a key"
    lock.note("another key")
    lock.release()
    lock = FolderLock.take(tmp_path)
    assert lock.left == ""
    lock.release()


@pytest.fixture
def parent(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(workspace, "_temp_parent", lambda: str(tmp_path))
    return tmp_path


def test_what_no_process_owns_is_removed_and_nothing_else(parent):
    kept, lock = make_temp_folder()
    abandoned, gone = make_temp_folder()
    (abandoned / "ray").mkdir()
    (abandoned / "link").symlink_to(kept)
    gone.release()
    foreign = parent / "ls-foreign"
    foreign.mkdir()
    (parent / "ls-link").symlink_to(kept)
    (parent / "ls-file").touch()
    assert remove_abandoned() == [abandoned]
    assert sorted(parent.iterdir()) == sorted(
        [kept, foreign, parent / "ls-link", parent / "ls-file"]
    )
    lock.release()
    assert remove_abandoned() == [kept]


def test_a_folder_of_another_user_is_left_alone(parent, monkeypatch):
    folder, lock = make_temp_folder()
    lock.release()
    monkeypatch.setattr(os, "geteuid", lambda: 54321)
    assert remove_abandoned() == []
    assert folder.is_dir()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path):
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "lesionserve.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        FolderLock.take(tmp_path)
    assert (tmp_path / "victim").read_text() == "kept"


def test_a_new_data_folder_is_its_owners(tmp_path):
    assert open_data_folder(tmp_path / "a" / "data") == []
    assert mode(tmp_path / "a" / "data") == 0o700


def test_an_open_folder_is_closed_with_what_lies_in_it(tmp_path):
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


def test_a_folder_that_holds_other_things_keeps_its_mode(tmp_path):
    tmp_path.chmod(0o755)
    (tmp_path / "notes.txt").touch(mode=0o644)
    (tmp_path / "notes.txt").chmod(0o644)
    assert "open to others" in "".join(open_data_folder(tmp_path))
    assert mode(tmp_path) == 0o755
    assert mode(tmp_path / "notes.txt") == 0o644


@pytest.mark.parametrize("bits", [0o777, 0o1777])
def test_a_folder_that_everybody_may_write_is_refused(tmp_path, bits):
    tmp_path.chmod(bits)
    with pytest.raises(StackError, match="every user of this machine may write") as raised:
        open_data_folder(tmp_path)
    assert raised.value.exit_status == 2
    assert list(tmp_path.iterdir()) == []


def test_new_files_are_private_in_the_block_alone(tmp_path):
    before = os.umask(0o022)
    try:
        with private_files():
            subprocess.run(["touch", tmp_path / "child"], check=True)
        (tmp_path / "after").touch()
    finally:
        os.umask(before)
    assert (mode(tmp_path / "child"), mode(tmp_path / "after")) == (0o600, 0o644)
