"""The folders of a start: the data folder, which one start at a time may use, and a temporary one,
which the next start removes where this one was killed."""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil

from cluster.errors import StackError

_LOCK = "lesionserve.lock"
_TEMP_PREFIX = "ls-"
_LONGEST_TEMP = 40  # Ray's sockets lie some 60 characters deeper, and AF_UNIX ends at 107
_POLL_S = 0.25
_SETTINGS = "gateway.env"  # its presence says that a folder is lesionserve's own
_DATABASE = "lesionserve.sqlite3"
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FolderLock:
    """A lock on a folder, held until every process that has its descriptor is gone.

    The children of a start are given it. So a folder is free only once nothing works in it any
    more, also where the launcher was killed and could not stop them. `left` is the note of a
    holder that was killed.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.left = _lines(descriptor)[1]
        self.note("")

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Raises BlockingIOError where somebody holds it, and OSError."""
        descriptor = _open(folder / _LOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    def wait(cls, folder: Path, within_s: float) -> Self:
        """Take the lock once the children of a launcher that is gone have ended.

        Raises StackError where the launcher lives, or they do not end in time; and OSError.
        """
        deadline = time.monotonic() + within_s
        while True:
            try:
                return cls.take(folder)
            except BlockingIOError as error:
                pid = _holder(folder)
                if pid is not None and psutil.pid_exists(pid):
                    who = f"another `lesionserve up` (process {pid})"
                    raise StackError(f"{folder} is in use by {who}", exit_status=2) from error
                if time.monotonic() > deadline:
                    who = "processes of a start that was killed; they do not end"
                    raise StackError(f"{folder} is in use by {who}", exit_status=2) from error
            time.sleep(_POLL_S)

    def note(self, text: str) -> None:
        """Keep a line for whoever takes the lock after us, should we be killed."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n{text}\n".encode(), 0)

    def release(self) -> None:
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


def make_temp_folder() -> tuple[Path, FolderLock]:
    """Make a folder for one start, whose path is short enough for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix=_TEMP_PREFIX, dir=_temp_parent()))
    # The lock is seen by others only once it is held.
    new = folder / "new"
    new.mkdir()
    lock = FolderLock.take(new)
    (new / _LOCK).rename(folder / _LOCK)
    new.rmdir()
    return folder, lock


def remove_abandoned() -> list[Path]:
    """Remove the temporary folders of starts of which no process is left; return them."""
    removed = []
    for folder in Path(_temp_parent()).glob(f"{_TEMP_PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def open_data_folder(folder: Path) -> list[str]:
    """Make the folder, or make what lies in it readable for its owner alone.

    Returns what there is to say of it. Raises StackError for a folder in which every user of the
    machine may put files, and OSError.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH:
        raise StackError(
            f"{folder}: every user of this machine may write there; choose a folder of your own, "
            f"such as {folder / 'lesionserve'}",
            exit_status=2,
        )
    for path in _own_files(folder):
        _close(path)
    if not mode & _FOR_OTHERS:
        return []
    if not _is_ours(folder) or (any(folder.iterdir()) and not (folder / _SETTINGS).exists()):
        return [f"{folder} is open to others; what is kept in it can be read by its owner alone"]
    _close(folder)
    return [f"{folder} was open to others; now it is its owner's alone"]


@contextmanager
def private_files() -> Iterator[None]:
    """Give every new file of the block, and of processes started in it, to its owner alone."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)


def _temp_parent() -> str:
    parent = tempfile.gettempdir()
    return parent if len(parent) <= _LONGEST_TEMP else "/tmp"  # nosec B108, mkdtemp makes our own


def _is_abandoned(folder: Path) -> bool:
    try:
        # Of others' folders, and of links to some, nothing is touched.
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        if not (folder / _LOCK).exists():
            return False
        FolderLock.take(folder).release()
    except OSError:
        return False
    return True


def _own_files(folder: Path) -> Iterator[Path]:
    yield folder / _SETTINGS
    yield from folder.glob(f"{_DATABASE}*")
    for name in ("tls", "logs"):
        yield folder / name
        yield from (folder / name).rglob("*")


def _close(path: Path) -> None:
    """Take every right of others away, where there is such a file and it is ours."""
    if path.is_symlink() or not path.exists() or not _is_ours(path):
        return
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & _FOR_OTHERS:
        path.chmod(mode & ~_FOR_OTHERS)


def _is_ours(path: Path) -> bool:
    return path.stat().st_uid == os.geteuid()


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _holder(folder: Path) -> int | None:
    descriptor = os.open(folder / _LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        pid = _lines(descriptor)[0]
    finally:
        os.close(descriptor)
    return int(pid) if pid.isascii() and pid.isdigit() else None


def _lines(descriptor: int) -> tuple[str, str]:
    """Return the process id and the note of a lock's file, empty where there are none."""
    lines = os.pread(descriptor, 1000, 0).decode("ascii", errors="replace").splitlines()
    pid, note = [*lines, "", ""][:2]
    return pid, note
