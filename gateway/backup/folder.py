"""The folder of the backups, each in a folder of its own that has its name once it is whole."""

import fcntl
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from gateway.backup.errors import BackupError
from gateway.backup.manifest import Manifest

_NAME = re.compile(r"lesionserve-\d{8}T\d{6}Z(-\d+)?")
_UNFINISHED = ".lesionserve-"


class BackupFolder:
    """The folder of the backups, locked for one backup at a time."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    @contextmanager
    def locked(cls, path: Path) -> Iterator["BackupFolder"]:
        """Make the folder if there is none, lock it, and remove what killed backups left.

        Raise BackupError where it is in use, or where every user may write.
        """
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
        if path.stat().st_mode & stat.S_IWOTH:
            raise BackupError(f"{path}: every user of this machine may write there; use another")
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for unfinished in path.glob(f"{_UNFINISHED}*"):
                shutil.rmtree(unfinished)
            yield cls(path)
        except BlockingIOError:
            raise BackupError(f"{path}: another backup is being made there") from None
        finally:
            os.close(descriptor)

    @contextmanager
    def unfinished(self) -> Iterator[Path]:
        """Yield a folder to make a backup in. It is removed unless `publish` gave it its name."""
        folder = Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.path))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def publish(self, unfinished: Path, made_at: datetime) -> Path:
        """Give a whole backup its name, which survives a crash. Return its path."""
        for file in unfinished.iterdir():
            file.chmod(0o600)
            sync(file)
        sync(unfinished)
        path = self._free_name(made_at)
        unfinished.rename(path)
        sync(self.path)
        return path

    def remove_old(self, keep: int, newest: Path) -> list[Path]:
        """Remove all but the newest backups of the same database. Return what was removed.

        `newest` stays in any case, and so does what is no backup of this database.
        """
        source = Manifest.parse(newest).source
        others = sorted(self._backups_of(source) - {newest}, reverse=True)
        removed = others[max(0, keep - 1) :]
        for path in removed:
            # Without its name first, so that no half of a backup ever has one.
            nameless = self.path / f"{_UNFINISHED}{path.name}"
            path.rename(nameless)
            shutil.rmtree(nameless)
        sync(self.path)
        return removed

    def _free_name(self, made_at: datetime) -> Path:
        first = self.path / f"lesionserve-{made_at:%Y%m%dT%H%M%SZ}"
        path, number = first, 1
        while path.exists():
            number += 1
            path = first.with_name(f"{first.name}-{number}")
        return path

    def _backups_of(self, source: str) -> set[Path]:
        backups = set()
        for path in self.path.iterdir():
            if _NAME.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                try:
                    manifest = Manifest.parse(path)
                except BackupError:
                    continue  # not to be removed by this version
                if manifest.source == source:
                    backups.add(path)
        return backups


def sync(path: Path) -> None:
    """Bring a file's content, or a folder's names, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
