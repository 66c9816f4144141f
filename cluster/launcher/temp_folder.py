"""The temporary folder of a start, which the next start removes where this one was killed."""

import os
import shutil
import tempfile
from pathlib import Path

from cluster.launcher.folder_lock import LOCK_NAME, FolderLock

_PREFIX = "ls-"
_MAX_PARENT_LENGTH = 40  # Ray's sockets lie some 60 characters deeper, and AF_UNIX ends at 107


def make_temp_folder() -> tuple[Path, FolderLock]:
    """Make a folder for one start, whose path is short enough for Ray's sockets."""
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_parent()))
    # The lock's file gets its name once it is held, so that nobody else takes it first.
    new = folder / "new"
    new.mkdir()
    lock = FolderLock.take(new)
    (new / LOCK_NAME).rename(folder / LOCK_NAME)
    new.rmdir()
    return folder, lock


def remove_abandoned() -> list[Path]:
    """Remove the temporary folders of starts of which no process is left; return them."""
    removed = []
    for folder in Path(_parent()).glob(f"{_PREFIX}*"):
        if _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed


def _parent() -> str:
    parent = tempfile.gettempdir()
    return parent if len(parent) <= _MAX_PARENT_LENGTH else "/tmp"  # nosec B108, mkdtemp is safe


def _is_abandoned(folder: Path) -> bool:
    try:
        # Folders of other users, and links, are left alone.
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        if not (folder / LOCK_NAME).exists():
            return False
        FolderLock.take(folder).release()
    except OSError:
        return False
    return True
