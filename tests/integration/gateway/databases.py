"""Databases of the gateway of either kind, and the gateway's commands on them."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from serve_app.paths import ROOT
from tests.integration.gateway.postgres import Postgres

MANAGE = [sys.executable, "-m", "gateway.manage"]

NUMBERS = itertools.count()  # each names a database

# Writes events until it is killed, and prints the number of each that is committed.
_WRITER = """
import itertools, sys
import django
django.setup()
from gateway.audit.events import COMMAND, record_event
from gateway.audit.models import Event
for number in itertools.count():
    record_event(Event.Action.KEY_ISSUED, COMMAND, subject=f"written {number}")
    print(number, flush=True)
"""


@dataclass
class Database:
    """One database, and the environment of a gateway that uses it."""

    url: str
    path: str = os.environ["PATH"]
    changes: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": self.path,
            "LESIONSERVE_SECRET_KEY": "k" * 50,
            "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
            "LESIONSERVE_AUDIT_KEY": "a" * 32,
            "DJANGO_SETTINGS_MODULE": "gateway.settings",
            "DATABASE_URL": self.url,
            **self.changes,
        }

    def manage(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        command = [*MANAGE, *map(str, arguments)]
        return subprocess.run(
            command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=120
        )

    def output(self, *arguments: object) -> str:
        done = self.manage(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refusal(self, *arguments: object) -> str:
        done = self.manage(*arguments)
        assert done.returncode == 1, done.stdout
        assert "Traceback" not in done.stderr
        return done.stderr.strip()

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            [*MANAGE, *map(str, arguments)], env=self.environment, cwd=ROOT, start_new_session=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def connect(self) -> Any:
        """Return a connection of another program."""
        if self.url.startswith("sqlite"):
            import sqlite3

            return sqlite3.connect(self.url.removeprefix("sqlite:///"))
        return psycopg.connect(self.url)

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        """Execute a statement and commit. Return its rows, if it has any."""
        with closing(self.connect()) as connection:
            cursor = connection.execute(statement)
            rows = cursor.fetchall() if cursor.description else []
            connection.commit()
        return rows

    def subjects(self) -> list[str]:
        """Return the subjects of all events, in their order."""
        return [row[0] for row in self.execute("SELECT subject FROM usage_event ORDER BY id")]

    def writer(self) -> "AbstractContextManager[subprocess.Popen[str]]":
        """A process that writes events as fast as it can."""
        return _ended(
            subprocess.Popen(
                [sys.executable, "-c", _WRITER], env=self.environment, cwd=ROOT,
                stdout=subprocess.PIPE, text=True,
            )
        )  # fmt: skip


@contextmanager
def _ended(process: "subprocess.Popen[str]"):
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def kill_group(process: "subprocess.Popen[str]") -> None:
    """Kill a command that `Database.start` started, with its children."""
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def wait_until(condition: Callable[[], bool], process: "subprocess.Popen[str]") -> bool:
    """Return True once the condition holds, and False if the process ends before."""
    while not condition():
        if process.poll() is not None:
            return False
        time.sleep(0.0005)
    return True


def new_postgres_database(server: Postgres, name: str, template: str = "template1") -> Database:
    server.run_sql(f"CREATE DATABASE {name} TEMPLATE {template}")
    return Database(f"postgresql://lesionserve@127.0.0.1:{server.port}/{name}")


MakeDatabase = Callable[[], Database]


@dataclass(frozen=True)
class Databases:
    """Make databases that are migrated: empty ones, and ones with a key, so with rows in both
    trails' tables. What takes a command is done once, and copied."""

    empty: MakeDatabase
    keyed: MakeDatabase


def sqlite_databases(folder: Path) -> Databases:
    def copy(template: str) -> Database:
        path = folder / f"{next(NUMBERS)}" / "gateway.sqlite3"
        path.parent.mkdir()
        shutil.copy(folder / template, path)
        return Database(f"sqlite:///{path}")

    Database(f"sqlite:///{folder / 'empty'}").output("migrate", "-v0")
    shutil.copy(folder / "empty", folder / "keyed")
    Database(f"sqlite:///{folder / 'keyed'}").output("issue_key", "--name", "a clinic")
    return Databases(partial(copy, "empty"), partial(copy, "keyed"))


def postgres_databases(server: Postgres) -> Databases:
    def copy(template: str) -> Database:
        return new_postgres_database(server, f"test{next(NUMBERS)}", template)

    new_postgres_database(server, "migrated").output("migrate", "-v0")
    new_postgres_database(server, "keyed", "migrated").output("issue_key", "--name", "a clinic")
    return Databases(partial(copy, "migrated"), partial(copy, "keyed"))


def program(folder: Path, name: str, script: str) -> None:
    """Make a program in the folder."""
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
