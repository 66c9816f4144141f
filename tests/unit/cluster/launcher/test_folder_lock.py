import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.errors import StackError
from cluster.launcher.folder_lock import FolderLock

HOLD = (
    "import sys; from pathlib import Path; from cluster.launcher.folder_lock import FolderLock; "
    "lock = FolderLock.take(Path(sys.argv[1])); print('held', flush=True); "
)


def holding(folder: Path, then: str) -> subprocess.Popen[bytes]:
    """Start a process that holds the folder's lock."""
    command = [sys.executable, "-c", HOLD + then, folder]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_second_start_in_folder_is_refused_at_once(tmp_path):
    with holding(tmp_path, "sys.stdin.read()") as other:
        with pytest.raises(StackError, match=rf"in use by .* \(process {other.pid}\)") as raised:
            FolderLock.wait(tmp_path, 60)
        other.kill()
    assert raised.value.exit_status == 2
    FolderLock.wait(tmp_path, 0).release()


def test_wait_lasts_until_children_of_killed_start_end(tmp_path):
    child = "import subprocess, os; os.set_inheritable(lock.descriptor, True); "
    child += "print(subprocess.Popen(['sleep', '60'], close_fds=False, stdout=2).pid, flush=True); "
    with holding(tmp_path, child + "sys.stdin.read()") as launcher:
        pid = int(launcher.stdout.readline())
        launcher.kill()
    with pytest.raises(StackError, match="in use by processes of a start that was killed"):
        FolderLock.wait(tmp_path, 0)
    os.kill(pid, 9)
    FolderLock.wait(tmp_path, 60).release()


def test_note_is_left_only_by_killed_holder(tmp_path):
    lock = FolderLock.take(tmp_path)
    lock.write_note("a key")
    os.close(lock.descriptor)
    lock = FolderLock.take(tmp_path)
    assert lock.former_note == "a key"
    lock.write_note("another key")
    lock.release()
    lock = FolderLock.take(tmp_path)
    assert lock.former_note == ""
    lock.release()


def test_lock_does_not_follow_link(tmp_path):
    (tmp_path / "victim").write_text("kept")
    (tmp_path / "lesionserve.lock").symlink_to(tmp_path / "victim")
    with pytest.raises(OSError, match="symbolic links"):
        FolderLock.take(tmp_path)
    assert (tmp_path / "victim").read_text() == "kept"
