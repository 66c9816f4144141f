"""Backups of both kinds of database: what is in them, and what restoring one does."""

import json
import os
import shutil
import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.integration.gateway.databases import (
    NUMBERS,
    Database,
    Databases,
    MakeDatabase,
    kill_group,
    new_postgres_database,
    postgres_databases,
    program,
    wait_until,
)
from tests.integration.gateway.postgres import Postgres


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def databases(request) -> Databases:
    if request.param == "sqlite":
        return request.getfixturevalue("of_sqlite")
    return postgres_databases(request.getfixturevalue("postgres"))


@pytest.fixture
def new_database(databases: Databases) -> MakeDatabase:
    """Make an empty, migrated database."""
    return databases.empty


@pytest.fixture
def database(databases: Databases) -> Database:
    return databases.keyed()


@pytest.fixture
def new_sqlite(of_sqlite: Databases) -> MakeDatabase:
    return of_sqlite.empty


@pytest.fixture
def sqlite_database(of_sqlite: Databases) -> Database:
    """A database with a key, for what does not depend on its kind."""
    return of_sqlite.keyed()


def is_sqlite(database: Database) -> bool:
    return database.url.startswith("sqlite")


def backup_of(database: Database, folder: Path) -> Path:
    """Make a backup and return its path, which is the newest in the folder."""
    database.output("backup", folder)
    return sorted(folder.glob("lesionserve-2*"))[-1]


def dump_in(backup: Path) -> Path:
    (dump,) = backup.glob("database.*")
    return dump


def names_of_keys(database: Database) -> set[str]:
    return {row[0] for row in database.execute("SELECT name FROM keys_apikey")}


def test_restored_database_has_every_row_and_intact_trail(database, new_database, tmp_path):
    sealed = database.output("verify_audit")
    backup = backup_of(database, tmp_path)
    other = new_database()
    printed = other.output("restore", backup)
    assert "an intact audit trail" in printed
    assert names_of_keys(other) == {"a clinic"}
    *before, restored = other.subjects()
    assert before == database.subjects()
    assert restored == backup.name
    (tmp_path / "sealed").write_text(sealed)
    other.output("verify_audit", "--against", tmp_path / "sealed")
    other.output("issue_key", "--name", "another")  # the numbers of rows go on
    assert other.output("migrate", "--check") == ""


def test_restore_makes_tables_in_empty_database(database, request, tmp_path):
    backup = backup_of(database, tmp_path)
    if is_sqlite(database):
        empty = Database(f"sqlite:///{tmp_path / 'new' / 'gateway.sqlite3'}")
    else:
        server = request.getfixturevalue("postgres")
        empty = new_postgres_database(server, f"empty{next(NUMBERS)}")
    empty.output("restore", backup)
    assert names_of_keys(empty) == {"a clinic"}
    if is_sqlite(database):
        path = tmp_path / "new" / "gateway.sqlite3"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert list(path.parent.iterdir()) == [path]


def test_backup_belongs_to_owner_alone(sqlite_database, tmp_path):
    os.umask(before := os.umask(0))
    folder = tmp_path / "backups"
    backup = backup_of(sqlite_database, folder)
    os.umask(before)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, backup)] == [0o700, 0o700]
    files = list(backup.iterdir())
    assert len(files) == 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_manifest_describes_dump_and_tells_no_secret(database, tmp_path):
    backup = backup_of(database, tmp_path)
    text = (backup / "manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["content"]["rows"]["keys_apikey"] == 1
    assert manifest["dump"]["bytes"] == dump_in(backup).stat().st_size
    last = database.output("verify_audit").splitlines()[0]
    assert last.endswith(manifest["content"]["trails"]["events"]["seal"])
    assert manifest["faults"] == 0
    for name, secret in database.environment.items():
        if name.startswith("LESIONSERVE"):
            assert secret not in text


def test_sessions_and_kept_answers_are_not_in_backup(database, new_database, tmp_path):
    database.execute(
        "INSERT INTO django_session VALUES"
        " ('a-session-of-somebody', 'its-content', '2050-01-01 00:00:00+00:00')"
    )
    backup = backup_of(database, tmp_path)
    other = new_database()
    other.output("restore", backup)
    assert other.execute("SELECT count(*) FROM django_session") == [(0,)]
    assert database.execute("SELECT count(*) FROM django_session") == [(1,)]
    if is_sqlite(database):
        assert b"a-session-of-somebody" not in dump_in(backup).read_bytes()


def test_backup_under_writes_has_every_earlier_row(database, new_database, tmp_path):
    with database.writer() as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 20:
            pass
        process = database.start("backup", tmp_path / "backups")
        last = 0
        while process.poll() is None:  # the writer goes on all the time
            last = int(writer.stdout.readline())
        assert process.returncode == 0, process.communicate()
    process.communicate()
    assert last > 20
    (backup,) = (tmp_path / "backups").glob("lesionserve-*")
    other = new_database()
    other.output("restore", backup)
    written = [subject for subject in other.subjects() if subject.startswith("written")]
    assert written == [f"written {number}" for number in range(len(written))]
    assert 21 <= len(written) <= last + 2
    other.output("verify_audit")


def test_keep_removes_older_backups_of_same_database_only(sqlite_database, new_sqlite, tmp_path):
    other = backup_of(new_sqlite(), tmp_path)
    (tmp_path / "lesionserve-notes").mkdir()
    first, second = backup_of(sqlite_database, tmp_path), backup_of(sqlite_database, tmp_path)
    printed = sqlite_database.output("backup", tmp_path, "--keep", 2)
    assert f"removed {first}" in printed
    assert not first.exists()
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert {second.name, other.name, "lesionserve-notes"} < set(kept)
    assert len(kept) == 4


def test_broken_trail_is_reported_and_keeps_older_backups(database, new_database, tmp_path):
    first = backup_of(database, tmp_path)
    database.execute("UPDATE usage_event SET actor = 'somebody'")
    refusal = database.refusal("backup", tmp_path, "--keep", 1)
    assert "is not what was sealed" in refusal
    assert "the backup was made, but the audit trail in it is not intact: 2 faults" in refusal
    second = max(tmp_path.iterdir())
    assert first.exists()
    other = new_database()
    assert "had 2 faults when it was made" in other.refusal("restore", second)
    assert names_of_keys(other) == set()
    assert "2 faults" in other.output("restore", second, "--accept-faults")
    assert names_of_keys(other) == {"a clinic"}


def test_unverified_backup_is_verified_before_it_replaces(sqlite_database, new_sqlite, tmp_path):
    sqlite_database.execute("UPDATE usage_event SET actor = 'somebody'")
    sqlite_database.output("backup", tmp_path, "--skip-verification")
    (backup,) = tmp_path.iterdir()
    other = new_sqlite()
    assert "in this backup is not intact" in other.refusal("restore", backup)
    assert names_of_keys(other) == set()


def test_restore_refuses_database_with_rows_unless_told(database, new_database, tmp_path):
    backup = backup_of(database, tmp_path)
    other = new_database()
    other.output("issue_key", "--name", "to be replaced")
    refusal = other.refusal("restore", backup)
    assert "nothing was changed: the database holds rows: keys_apikey (1 rows)" in refusal
    assert names_of_keys(other) == {"to be replaced"}
    other.output("restore", backup, "--replace")
    assert names_of_keys(other) == {"a clinic"}


def test_restore_refuses_database_in_use(database, new_database, tmp_path):
    backup = backup_of(database, tmp_path)
    other = new_database()
    with closing(other.connect()) as connection:
        connection.execute("SELECT count(*) FROM keys_apikey").fetchall()
        if is_sqlite(database):  # as a gateway has it
            connection.execute("PRAGMA journal_mode=WAL")
        assert "in use" in other.refusal("restore", backup, "--replace")
    assert names_of_keys(other) == set()
    other.output("restore", backup)


def test_restore_replaces_tables_of_another_version(database, new_database, tmp_path):
    backup = backup_of(database, tmp_path)
    other = new_database()
    other.execute("CREATE TABLE keys_later (id integer)")
    other.execute("INSERT INTO django_migrations (app, name, applied)"
                  " VALUES ('keys', '0999_later', '2026-01-01 00:00:00+00:00')")  # fmt: skip
    other.output("restore", backup, "--replace")
    with pytest.raises(Exception, match="keys_later"):
        other.execute("SELECT * FROM keys_later")
    assert other.output("migrate", "--check") == ""


def test_backup_refuses_database_of_another_version(sqlite_database, tmp_path):
    sqlite_database.execute("DELETE FROM django_migrations WHERE app = 'people'")
    refusal = sqlite_database.refusal("backup", tmp_path)
    assert "the database is of an earlier version of lesionserve" in refusal
    assert "people.0001_initial" in refusal
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", [0, -1])
def test_changed_dump_is_refused(sqlite_database, new_sqlite, tmp_path, place):
    backup = backup_of(sqlite_database, tmp_path)
    content = bytearray(dump_in(backup).read_bytes())
    content[place] ^= 1
    dump_in(backup).write_bytes(content)
    other = new_sqlite()
    for arguments in (["--check"], []):
        assert "was changed, or damaged" in other.refusal("restore", backup, *arguments)
    assert names_of_keys(other) == set()


def test_changed_manifest_is_refused(sqlite_database, tmp_path):
    path = backup_of(sqlite_database, tmp_path) / "manifest.json"
    text = path.read_text()
    changes = {
        '"keys_apikey": 1': '"keys_apikey": 2',
        '"faults": 0': '"faults": null',
        '"lesionserve": "0': '"lesionserve": "9',
    }
    for old, new in changes.items():
        assert old in text
        path.write_text(text.replace(old, new))
        refusal = sqlite_database.refusal("restore", path.parent, "--replace")
        assert "was changed after the backup was made" in refusal
    for whole in ("", "[]", text.replace('"format": 1', '"format": 2'), "{" * 100_000):
        path.write_text(whole)
        assert "is no manifest of this version" in sqlite_database.refusal("restore", path.parent)


def test_wrong_audit_key_is_named_by_fingerprint(sqlite_database, tmp_path):
    backup = backup_of(sqlite_database, tmp_path)
    fingerprint = json.loads((backup / "manifest.json").read_text())["audit_key"]
    sqlite_database.changes["LESIONSERVE_AUDIT_KEY"] = "b" * 32
    refusal = sqlite_database.refusal("restore", backup, "--replace")
    assert f"needs the audit key with the fingerprint {fingerprint}" in refusal
    assert names_of_keys(sqlite_database) == {"a clinic"}


def test_check_changes_nothing(sqlite_database, tmp_path):
    backup = backup_of(sqlite_database, tmp_path)
    sqlite_database.output("issue_key", "--name", "later")
    assert "is intact" in sqlite_database.output("restore", backup, "--check")
    assert names_of_keys(sqlite_database) == {"a clinic", "later"}


def test_folder_that_is_no_backup_is_refused(sqlite_database, tmp_path):
    for path in (tmp_path, tmp_path / "none"):
        assert "name the folder of a backup" in sqlite_database.refusal("restore", path)


def test_restore_killed_at_any_time_leaves_old_or_new_state(database, new_database, tmp_path):
    with database.writer() as writer:
        assert writer.stdout is not None
        while int(writer.stdout.readline()) < 400:  # so that writing takes a while
            pass
    backup = backup_of(database, tmp_path)
    other = new_database()
    other.output("issue_key", "--name", "old")
    states = set()
    for step in range(30):
        process = other.start("restore", backup, "--replace")
        # In turns: while it verifies, and while it writes.
        begun = partial(is_begun, other, writing=step % 2 == 1)
        started = wait_until(begun, process)
        if started:
            wait_until(_countdown(step), process)
            kill_group(process)
        else:
            assert process.wait() == 0, process.communicate()
        names = names_of_keys(other)
        assert names in ({"old"}, {"a clinic"})
        other.output("verify_audit")
        states.add(next(iter(names)))
        if names == {"a clinic"}:
            break
    assert states == {"old", "a clinic"}


def is_begun(database: Database, *, writing: bool) -> bool:
    """Return whether a restore works on the database, or is writing what it replaces."""
    if is_sqlite(database):
        path = Path(database.url.removeprefix("sqlite:///"))
        copies = path.parent.glob(".lesionserve-restore-*/*.sqlite3")
        return Path(f"{path}-journal").exists() if writing else any(copies)
    server, _, name = database.url.rpartition("/")
    mode = "AccessExclusiveLock" if writing else "AccessShareLock"
    locks = Database(f"{server}/postgres").execute(  # not a session in the database itself
        f"SELECT 1 FROM pg_locks WHERE mode = '{mode}' AND database ="
        f" (SELECT oid FROM pg_database WHERE datname = '{name}')"
    )
    return bool(locks)


def _countdown(step: int) -> Callable[[], bool]:
    left = iter(range(step * 60))
    return lambda: next(left, None) is None


def test_killed_backup_leaves_no_named_folder(sqlite_database, tmp_path):
    folder = tmp_path / "backups"
    for _ in range(3):
        process = sqlite_database.start("backup", folder)
        wait_until(lambda: any(folder.glob(".lesionserve-*/database.*")), process)
        kill_group(process)
        assert list(folder.glob("lesionserve-*")) == []
    backup = backup_of(sqlite_database, folder)
    assert list(folder.iterdir()) == [backup]


def test_second_backup_at_same_time_is_refused(sqlite_database, tmp_path):
    import fcntl

    descriptor = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    assert "another backup is being made there" in sqlite_database.refusal("backup", tmp_path)
    os.close(descriptor)
    sqlite_database.output("backup", tmp_path)


def test_backup_into_open_folder_is_refused(sqlite_database, tmp_path):
    tmp_path.chmod(0o777)
    assert "every user of this machine may write" in sqlite_database.refusal("backup", tmp_path)


def test_damaged_sqlite_file_is_named(tmp_path):
    path = tmp_path / "gateway.sqlite3"
    good = Database(f"sqlite:///{path}")
    good.output("migrate", "-v0")
    good.output("issue_key", "--name", "a clinic")
    backup = backup_of(good, tmp_path / "backups")
    path.write_bytes(b"no database" * 1000)
    assert f"{path} is damaged, or no database" in good.refusal("restore", backup, "--replace")
    path.unlink()
    good.output("restore", backup)
    assert names_of_keys(good) == {"a clinic"}


def test_missing_sqlite_file_is_not_made(tmp_path):
    path = tmp_path / "none.sqlite3"
    assert "there is no database" in Database(f"sqlite:///{path}").refusal("backup", tmp_path / "b")
    assert not path.exists()


def test_sqlite_backup_is_one_file(tmp_path):
    path = tmp_path / "gateway.sqlite3"
    database = Database(f"sqlite:///{path}")
    database.output("migrate", "-v0")
    backup = backup_of(database, tmp_path / "backups")
    with closing(sqlite3.connect(f"file:{dump_in(backup)}?mode=ro", uri=True)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)


@pytest.fixture
def postgres_database(postgres: Postgres) -> Database:
    database = new_postgres_database(postgres, f"own{next(NUMBERS)}")
    database.output("migrate", "-v0")
    database.output("issue_key", "--name", "a clinic")
    return database


def test_password_is_in_no_argument_and_no_variable(postgres, postgres_database, tmp_path):
    # Nobody gets in without it.
    file = postgres.data / "pg_hba.conf"
    trusting = file.read_text()
    postgres.run_sql("CREATE ROLE careful LOGIN SUPERUSER PASSWORD 'a # secret\\=word'")
    file.write_text(f"host all careful 127.0.0.1/32 scram-sha-256\n{trusting}")
    postgres.run_sql("SELECT pg_reload_conf()")
    name = postgres_database.url.rpartition("/")[2]
    password = "a%20%23%20secret%5C%3Dword"
    careful = Database(f"postgresql://careful:{password}@127.0.0.1:{postgres.port}/{name}")
    program(
        tmp_path,
        "pg_dump",
        f'{{ echo "$@"; env | grep -v ^DATABASE_URL; }} > {tmp_path / "seen"}\n'
        f'exec {shutil.which("pg_dump")} "$@"',
    )
    careful.path = f"{tmp_path}:{careful.path}"
    try:
        careful.output("backup", tmp_path / "backups")
    finally:
        file.write_text(trusting)
        postgres.run_sql("SELECT pg_reload_conf()")
    seen = (tmp_path / "seen").read_text()
    assert "--format=custom" in seen
    assert "secret" not in seen.replace("LESIONSERVE_SECRET_KEY", "")


def test_failed_pg_restore_leaves_old_state(postgres_database, tmp_path):
    backup = backup_of(postgres_database, tmp_path / "backups")
    postgres_database.output("issue_key", "--name", "later")
    real = shutil.which("pg_restore")
    for script, message in {
        f'{real} "$@" | head -n 400; echo "it broke" >&2; exit 1': "it broke",
        f'{real} "$@" | sed "/^COPY public.keys_apikey/q"': "ended within the rows",
        "kill -9 $$": "pg_restore failed",
    }.items():
        program(tmp_path, "pg_restore", script)
        postgres_database.path = f"{tmp_path}:{os.environ['PATH']}"
        assert message in postgres_database.refusal("restore", backup, "--replace")
        assert names_of_keys(postgres_database) == {"a clinic", "later"}
        assert postgres_database.output("migrate", "--check") == ""


def test_missing_client_program_is_named(postgres_database, tmp_path):
    postgres_database.path = str(tmp_path)
    refusal = postgres_database.refusal("backup", tmp_path / "backups")
    assert "pg_dump is not installed (Debian: postgresql-client)" in refusal


def test_foreign_table_stays_and_is_not_in_backup(postgres_database, tmp_path):
    postgres_database.execute("CREATE TABLE wards AS SELECT 7 AS number")
    backup = backup_of(postgres_database, tmp_path)
    postgres_database.output("restore", backup, "--replace")
    assert postgres_database.execute("SELECT number FROM wards") == [(7,)]


def test_view_of_somebody_else_is_not_dropped(postgres_database, tmp_path):
    postgres_database.execute("CREATE VIEW ward_keys AS SELECT name FROM keys_apikey")
    backup = backup_of(postgres_database, tmp_path)
    refusal = postgres_database.refusal("restore", backup, "--replace")
    assert "ward_keys" in refusal
    assert postgres_database.execute("SELECT name FROM ward_keys") == [("a clinic",)]
