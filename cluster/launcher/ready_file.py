"""The file by which `lesionserve up` tells other programs that it is ready, and where."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

import psutil
from pydantic import BaseModel, ConfigDict, ValidationError

from cluster.errors import StackError
from cluster.files import write_secret
from cluster.launcher.stack import Stack

_MAX_BYTES = 65536


class Ready(BaseModel):
    """The content of the file, as JSON.

    ca: the certificate to trust; null in plain HTTP. dashboard, prometheus, alertmanager: their
    addresses; null where they were not asked for. pid: the process to send SIGTERM or SIGINT to.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str
    key: str
    ca: Path | None
    dashboard: str | None
    prometheus: str | None = None  # the file of an older version, which was killed, has neither
    alertmanager: str | None = None
    pid: int

    @classmethod
    def of(cls, stack: Stack) -> Self:
        return cls(
            url=stack.gateway_url,
            key=stack.api_key,
            ca=stack.ca,
            dashboard=stack.dashboard_url,
            prometheus=None if stack.monitoring is None else stack.monitoring.prometheus.url,
            alertmanager=None if stack.monitoring is None else stack.monitoring.alertmanager.url,
            pid=os.getpid(),
        )


class ReadyFile:
    """A file that is there while the service is ready, for its owner alone."""

    def __init__(self, path: Path) -> None:
        """Make the folder, and remove the file of an earlier start: it is not this one's.

        Raise StackError (exit status 2) where the file cannot be written, belongs to a start that
        lives, or holds something else; and OSError.
        """
        self._path = path.absolute()
        folder = self._path.parent
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # it may be the data folder
        except OSError as error:
            raise _misuse(f"{error.filename}: {error.strerror}") from error
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _misuse(f"{self._path}: nothing can be written into its folder")
        if self._path.is_symlink() or self._path.exists():
            self._remove_former()

    @contextmanager
    def published(self, ready: Ready) -> Iterator[None]:
        """Write the file whole, and remove it at the end of the block. Raise OSError."""
        try:
            write_secret(self._path, f"{ready.model_dump_json()}\n".encode())
            yield
        finally:
            former = self._read()
            if former is not None and former.pid == ready.pid:
                self._path.unlink(missing_ok=True)

    def _remove_former(self) -> None:
        former = self._read()
        if former is None:
            raise _misuse(
                f"{self._path}: it is no ready file; name another file, or remove this one"
            )
        if _is_alive(former.pid, self._path):
            raise _misuse(
                f"{self._path} belongs to another `lesionserve up` (process {former.pid})"
            )
        self._path.unlink(missing_ok=True)

    def _read(self) -> Ready | None:
        """Return what the file holds; None where there is none, or it holds something else."""
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            return Ready.model_validate_json(os.read(descriptor, _MAX_BYTES))
        except ValidationError:
            return None
        finally:
            os.close(descriptor)


def _is_alive(pid: int, path: Path) -> bool:
    """Return whether the process that wrote the file lives, and not one that has its pid now."""
    try:
        # A process that reuses the pid began after the file was written.
        return pid != os.getpid() and psutil.Process(pid).create_time() <= path.stat().st_mtime
    except (psutil.NoSuchProcess, FileNotFoundError):
        return False


def _misuse(message: str) -> StackError:
    return StackError(message, exit_status=2)
