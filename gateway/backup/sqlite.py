"""Copy an SQLite database while it is in use, and put a copy in its place."""

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.db import connection

from gateway.backup.content import TRANSIENT, require_unused
from gateway.backup.errors import BackupError
from gateway.backup.folder import sync

DUMP = "database.sqlite3"

_STAGE = ".lesionserve-restore-"
_LOCK_S = 5.0


def database_path() -> Path:
    return Path(connection.settings_dict["NAME"])


def source() -> str:
    return f"sqlite {database_path()}"


def version() -> str:
    return sqlite3.sqlite_version


def copy_database(target: Path) -> None:
    """Write a consistent copy of the database, which others may write to meanwhile.

    Whatever was committed before is in it. The rows that only matter for minutes are left out.
    """
    if not database_path().is_file():
        raise BackupError(f"there is no database {database_path()}; see DATABASE_URL")
    connection.ensure_connection()
    with closing(sqlite3.connect(target)) as copy:
        connection.connection.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")  # one file, without a log beside it
        for table in _present(copy, TRANSIENT):
            copy.execute(f'DELETE FROM "{table}"')  # nosec B608, our own names
        copy.commit()
        copy.execute("VACUUM")  # nothing of the deleted rows stays in the file
        require_sound(copy, target)


def require_sound(database: sqlite3.Connection, path: Path) -> None:
    """Raise BackupError where SQLite finds the file damaged."""
    (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise BackupError(f"{path}: SQLite finds it damaged: {verdict}")


@contextmanager
def connected_to(path: Path, *, read_only: bool) -> Iterator[None]:
    """Let Django's connection be to this file instead of the gateway's database."""
    before: dict[str, Any] = dict(connection.settings_dict)
    mode = "ro" if read_only else "rw"
    connection.close()
    connection.settings_dict.update(NAME=f"file:{quote(str(path))}?mode={mode}", OPTIONS={})
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict.update(before)


@contextmanager
def staged(dump: Path) -> Iterator[Path]:
    """Yield a copy of the dump beside the database, for its owner alone; remove it at the end."""
    folder = database_path().parent
    for left in folder.glob(f"{_STAGE}*"):  # of a restore that was killed
        shutil.rmtree(left)
    stage = Path(tempfile.mkdtemp(prefix=_STAGE, dir=folder))
    try:
        copy = stage / DUMP
        shutil.copyfile(dump, copy)
        yield copy
    finally:
        shutil.rmtree(stage, ignore_errors=True)


@contextmanager
def exclusive_database(*, replace: bool) -> Iterator[sqlite3.Connection]:
    """Yield the only connection to the gateway's database file, which is made if there is none.

    Raise BackupError where another process has it open, where it is damaged, and, without
    `replace`, where it holds rows.
    """
    path = database_path()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with closing(_opened(path)) as database:
        try:
            _lock(database)
            if not replace:
                require_unused(_row_counts(database))
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                raise
            raise BackupError(
                f"{path} is in use: stop the gateway and every other program that has it open"
            ) from error
        except sqlite3.DatabaseError as error:
            raise BackupError(
                f"{path} is damaged, or no database: move it away, with the files of the same name "
                "that end in -wal and -shm, and restore again"
            ) from error
        yield database
    sync(path.parent)


def _opened(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    return sqlite3.connect(path, timeout=_LOCK_S, isolation_level=None)


def _lock(database: sqlite3.Connection) -> None:
    """Let no other process use the file until the connection is closed."""
    database.execute("PRAGMA locking_mode=EXCLUSIVE")
    database.execute("PRAGMA journal_mode=DELETE")  # fails while another process has it open
    database.execute("PRAGMA synchronous=EXTRA")
    database.execute("BEGIN EXCLUSIVE")
    database.execute("COMMIT")


def replace_content(database: sqlite3.Connection, staged_copy: Path) -> None:
    """Write the copy into the database in one transaction: a crash leaves the old content."""
    with closing(sqlite3.connect(staged_copy)) as copy:
        copy.backup(database)


def _present(database: sqlite3.Connection, tables: tuple[str, ...]) -> list[str]:
    present = _row_counts(database)
    return [table for table in tables if table in present]


def _row_counts(database: sqlite3.Connection) -> dict[str, int]:
    names = database.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    ).fetchall()
    counts = {}
    for (name,) in names:
        quoted = '"' + name.replace('"', '""') + '"'
        (counts[name],) = database.execute(f"SELECT count(*) FROM {quoted}").fetchone()  # nosec B608
    return counts
