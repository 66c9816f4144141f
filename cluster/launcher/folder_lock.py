import fcntl
import os
import time
from pathlib import Path
from typing import Self

import psutil

from cluster.errors import StackError

LOCK_NAME = "lesionserve.lock"
_POLL_S = 0.25


class FolderLock:
    """A lock on a folder, held until every process that has its descriptor is gone.

    The children of a start inherit the descriptor. So a folder is free only once nothing works in
    it any more, also where the launcher was killed and could not stop them. `former_note` is the
    note of a holder that was killed.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.former_note = _read(descriptor)[1]
        self.write_note("")

    @classmethod
    def take(cls, folder: Path) -> Self:
        """Take the lock. Raise BlockingIOError where another process holds it, and OSError."""
        descriptor = _open(folder / LOCK_NAME)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            raise
        return cls(descriptor)

    @classmethod
    def wait(cls, folder: Path, within_s: float) -> Self:
        """Take the lock once the children of a launcher that is gone have ended.

        Raise StackError where the launcher lives, or they do not end in time; and OSError.
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

    def write_note(self, text: str) -> None:
        """Write a line for the next holder of the lock, in case this process is killed."""
        os.ftruncate(self.descriptor, 0)
        os.pwrite(self.descriptor, f"{os.getpid()}\n{text}\n".encode(), 0)

    def release(self) -> None:
        os.ftruncate(self.descriptor, 0)
        os.close(self.descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


def _holder(folder: Path) -> int | None:
    descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        pid = _read(descriptor)[0]
    finally:
        os.close(descriptor)
    return int(pid) if pid.isascii() and pid.isdigit() else None


def _read(descriptor: int) -> tuple[str, str]:
    """Return the process id and the note of a lock's file, empty where there are none."""
    lines = os.pread(descriptor, 1000, 0).decode("ascii", errors="replace").splitlines()
    pid, note = [*lines, "", ""][:2]
    return pid, note
