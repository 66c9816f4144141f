"""Dump a PostgreSQL database while it is in use, and restore a dump in one transaction."""

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from django.db import connection, transaction
from psycopg import Connection

from gateway.backup.client_tools import running
from gateway.backup.content import TRANSIENT, count_rows, own_tables, require_unused
from gateway.backup.errors import BackupError
from pipeline.text import few

DUMP = "database.pgdump"

_COPY = re.compile(rb"COPY \S+ \(.*\) FROM stdin;\n")
_COPY_END = b"\\.\n"
# A setting of PostgreSQL 17, which later client programs write for every server.
_SKIPPED = b"SET transaction_timeout = 0;\n"


def source() -> str:
    parameters = connection.settings_dict
    host, port = parameters["HOST"] or "localhost", parameters["PORT"] or 5432
    return f"postgresql {host}:{port}/{parameters['NAME']}"


def version() -> str:
    major, minor = divmod(connection.cursor().connection.info.server_version, 10_000)
    return f"{major}.{minor}"


@contextmanager
def snapshot() -> Iterator[str]:
    """Let all reads of the block see the database as it is now; yield the snapshot's name."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        cursor.execute("SELECT pg_export_snapshot()")
        (name,) = cursor.fetchone()
        yield name


def dump_database(target: Path, snapshot_name: str) -> None:
    """Write a dump of the snapshot, without the rows that only matter for minutes."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_schema()")
        (schema,) = cursor.fetchone()
    tables = [f"--table={_pattern(schema)}.{_pattern(name)}" for name in sorted(own_tables())]
    left_out = [f"--exclude-table-data=*.{_pattern(name)}" for name in TRANSIENT]
    target.touch(0o600)
    with running(
        "pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--no-password",
        f"--snapshot={snapshot_name}", f"--file={target}", *tables, *left_out,
    ):  # fmt: skip
        pass


@contextmanager
def replaced_content(dump: Path, *, replace: bool) -> Iterator[None]:
    """Restore the dump, and commit it after the block: a failure or a crash leaves the old content.

    Raise BackupError where others are connected to the database, and, without `replace`, where it
    holds rows.
    """
    _require_no_other_session()
    with transaction.atomic():
        tables = own_tables()
        if not replace:
            require_unused(count_rows(tables))
        if tables:
            # In one statement, so that nothing but these is dropped: no view of somebody else.
            names = ", ".join(connection.ops.quote_name(name) for name in sorted(tables))
            with connection.cursor() as cursor:
                cursor.execute(f"DROP TABLE {names}")
        _run_script(dump)
        yield


def _run_script(dump: Path) -> None:
    """Run the dump's statements on this connection, within its transaction."""
    connection.ensure_connection()
    with connection.cursor() as cursor:
        cursor.execute("SHOW search_path")
        (search_path,) = cursor.fetchone()
        options = ("--no-owner", "--no-privileges", "--file=-")
        with running("pg_restore", *options, str(dump), stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            _execute(connection.connection, process.stdout)
        cursor.execute("SELECT set_config('search_path', %s, false)", [search_path])


def _execute(database: Connection[Any], script: IO[bytes]) -> None:
    """Execute what pg_restore writes: statements, with the rows of a table after each COPY."""
    statements: list[bytes] = []
    for line in script:
        if line.startswith(b"\\") or line == _SKIPPED:
            continue  # a command for psql
        statements.append(line)
        if _COPY.fullmatch(line):
            copy = statements.pop()
            _execute_all(database, statements)
            statements = []
            _copy_rows(database, copy, script)
    _execute_all(database, statements)


def _execute_all(database: Connection[Any], statements: list[bytes]) -> None:
    text = b"".join(statements)
    if text.strip():
        database.execute(text)


def _copy_rows(database: Connection[Any], statement: bytes, script: IO[bytes]) -> None:
    with database.cursor() as cursor, cursor.copy(statement) as copy:
        for line in script:
            if line == _COPY_END:
                return
            copy.write(line)
    raise BackupError("pg_restore ended within the rows of a table")


def _require_no_other_session() -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT usename, coalesce(host(client_addr), 'this host') FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )
        sessions = sorted({f"{user} from {host}" for user, host in cursor.fetchall()})
    if sessions:
        raise BackupError(
            f"the database is in use by {few(sessions)}: stop the gateways and every other program "
            "that is connected to it"
        )


def _pattern(name: str) -> str:
    """Return a name as pg_dump's patterns have it, which takes it letter by letter."""
    return '"' + name.replace('"', '""') + '"'
