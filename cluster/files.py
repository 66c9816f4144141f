import os
import tempfile
from pathlib import Path


def write_secret(path: Path, content: bytes) -> None:
    """Write a file for its owner alone; after a crash it is whole, or what it was before."""
    _write(path, content, 0o600)


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is never seen half: on a full disk it is missing, or what it was before.

    Its mode is that of any new file. Raise OSError, also where a folder has the file's name.
    """
    umask = os.umask(0o077)
    os.umask(umask)
    _write(path, content, 0o666 & ~umask)


def _write(path: Path, content: bytes, mode: int) -> None:
    descriptor, beside = tempfile.mkstemp(prefix=".lesionserve-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    _keep_name(path.parent)


def _keep_name(folder: Path) -> None:
    # The file's new name is an entry of its folder, which reaches the disk by its own fsync.
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
