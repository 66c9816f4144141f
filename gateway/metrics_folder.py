import fcntl
import os
import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from django.core.exceptions import ImproperlyConfigured

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

# The files of prometheus_client. Its `live` gauges count only while their process lives.
_VALUES = re.compile(r"(?:counter|histogram|summary|gauge_[a-z]+)_\d+\.db")
_LIVE = re.compile(r"gauge_live[a-z]*_(\d+)\.db")
_WORKER = re.compile(r"worker_(\d+)\.lock")
_GUARD = "folder.lock"


class MetricsFolder:
    """The folder in which the worker processes of one gateway add up their metrics.

    Each worker locks a file of its own as long as it lives, so that the others know, whatever its
    end was. The first worker of a start finds no other alive, and deletes the values of the former
    start. The values of a worker that ended stay in the sums, but not its gauges of the present.
    """

    def __init__(self, path: Path, pid: int) -> None:
        """Join the folder as the process `pid`. Raise OSError and ImproperlyConfigured."""
        self._path = path
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._guarded():
            alive = self._drop_dead()
            if pid in alive:
                raise ImproperlyConfigured(
                    f"{VARIABLE}: another gateway writes to this folder under the same process id; "
                    "give each gateway a folder of its own"
                )
            if not alive:
                for file in self._files(_VALUES):
                    file.unlink()
            self._lock = _open(path / f"worker_{pid}.lock")
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    @classmethod
    def join(cls, environment: MutableMapping[str, str]) -> Self | None:
        """Join the folder that the environment names; return None where it names none.

        Call it before the first import of prometheus_client, which decides by the variable alone,
        and opens a file for each metric. Raise ImproperlyConfigured.
        """
        if not environment.get(VARIABLE):
            environment.pop(VARIABLE, None)  # an empty one would mean the working folder
            return None
        try:
            return cls(Path(environment[VARIABLE]), os.getpid())
        except OSError as error:
            raise ImproperlyConfigured(
                f"{VARIABLE}: the folder cannot be used: {error.strerror}"
            ) from None

    def leave(self) -> None:
        """Unlock the own file, as the end of the process does."""
        os.close(self._lock)

    def files(self) -> list[str]:
        """Return the files whose values are to be added up, without those of dead gauges."""
        with self._guarded():
            self._drop_dead()
            # A starting worker has just created an empty one.
            return [str(file) for file in self._files(_VALUES) if file.stat().st_size]

    def _drop_dead(self) -> set[int]:
        """Delete the locks and live gauges of processes that ended. Return those that live."""
        alive = set()
        for file in self._files(_WORKER):
            if _is_locked(file):
                alive.add(_number(_WORKER, file))
            else:
                file.unlink()
        for file in self._files(_LIVE):
            if _number(_LIVE, file) not in alive:
                file.unlink()
        return alive

    def _files(self, pattern: re.Pattern[str]) -> list[Path]:
        return [file for file in self._path.iterdir() if pattern.fullmatch(file.name)]

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep other processes from joining and cleaning at the same time."""
        descriptor = _open(self._path / _GUARD)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)


def _is_locked(path: Path) -> bool:
    descriptor = _open(path)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    else:
        return False
    finally:
        os.close(descriptor)


def _number(pattern: re.Pattern[str], file: Path) -> int:
    match = pattern.fullmatch(file.name)
    assert match is not None
    return int(match[1])
