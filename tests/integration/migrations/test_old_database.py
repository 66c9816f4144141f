"""A database of the version whose packages were keys, usage and proxy, with rows in every table."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from serve_app.paths import ROOT

DUMP = Path(__file__).parent / "databases" / "flat_packages.sql"
OURS = ("people_", "keys_", "usage_", "proxy_", "auth_user", "auth_group")
# The operations page came after that version.
NEW_RIGHTS = {
    (role, "monitor", right)
    for role in ("admin", "operator")
    for right in ("view_alert", "change_watchalarm")
}


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "gateway.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(DUMP.read_text())
    return path


def manage(database: Path, *arguments: str) -> str:
    environment = {
        "PATH": os.environ["PATH"],
        "DJANGO_SETTINGS_MODULE": "tests.gateway_settings",
        "DATABASE_URL": f"sqlite:///{database}",
    }
    command = [sys.executable, "-m", "gateway.manage", *arguments]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(database: Path) -> dict[str, list[dict[str, object]]]:
    """Return the rows of each table of ours, by its name, and their values by column."""
    with closing(sqlite3.connect(database)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        connection.row_factory = sqlite3.Row
        return {
            name: list(map(dict, connection.execute(f'SELECT * FROM "{name}" ORDER BY 1')))
            for (name,) in names
            if name.startswith(OURS)
        }


def printed_seals(tables: dict[str, list[dict[str, object]]]) -> list[str]:
    """Return the lines that verify_audit prints of an intact trail."""
    heads = sorted(tables["usage_head"], key=lambda head: (head["trail"], head["day"]))
    return ["{trail} {day}: {length} rows, {seal}".format(**head) for head in heads]


def rights(database: Path) -> set[tuple[str, str, str]]:
    """Return the group, app and permission of each right that a role gives."""
    with closing(sqlite3.connect(database)) as connection:
        return set(
            connection.execute(
                "SELECT g.name, c.app_label, p.codename FROM auth_group_permissions"
                " JOIN auth_group g ON g.id = group_id JOIN auth_permission p ON p.id ="
                " permission_id JOIN django_content_type c ON c.id = p.content_type_id"
            )
        )


def test_old_database_migrates_with_every_row_and_seal(database: Path):
    before, rights_before = rows(database), rights(database)
    empty = {name for name, content in before.items() if not content}
    assert empty == {
        "auth_user_groups",
        "auth_user_user_permissions",
        "proxy_writeprobe",
    }
    manage(database, "migrate", "-v0")
    after = rows(database)
    for name, content in before.items():
        if name != "auth_group_permissions":
            # New columns may have come.
            kept = zip(after[name], content, strict=True)
            assert [{column: new[column] for column in old} for new, old in kept] == content
    assert rights(database) == rights_before | NEW_RIGHTS
    seals = printed_seals(before)
    assert manage(database, "verify_audit").splitlines() == seals
    assert len(seals) == 2
    assert manage(database, "migrate", "--check") == ""


@pytest.mark.parametrize("migration", [("keys", "0006"), ("proxy", "0003")])
def test_renamed_model_changes_no_table(migration, tmp_path: Path):
    statements = [
        line
        for line in manage(tmp_path / "gateway.sqlite3", "sqlmigrate", *migration).splitlines()
        if line and not line.startswith("--")
    ]
    assert statements in ([], ["BEGIN;", "COMMIT;"])
