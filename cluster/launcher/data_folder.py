"""The data folder, whose files belong to its owner alone."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.errors import StackError

_SETTINGS = "gateway.env"  # a folder that holds it is lesionserve's own
_DATABASE = "lesionserve.sqlite3"
_FOR_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def open_data_folder(folder: Path) -> list[str]:
    """Create the folder if it is missing, and take others' rights from lesionserve's files in it.

    The folder itself is closed to others too, unless it belongs to somebody else or was in use for
    something else. Return remarks for the user. Raise StackError if every user of the machine may
    write to the folder; let OSError pass.
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


def _own_files(folder: Path) -> Iterator[Path]:
    yield folder / _SETTINGS
    yield from folder.glob(f"{_DATABASE}*")
    for name in ("tls", "logs", "monitoring"):
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
