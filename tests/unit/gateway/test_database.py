"""What a request waits for the database, and a file that is not the database any more."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest
from django.db import connection

from gateway import database
from gateway.database import DatabaseUnavailable, close_connections, in_database, waiting_at_most
from gateway.people.models import Organisation
from gateway.predict.models import WriteProbe
from gateway.predict.readiness import require_writable

pytestmark = pytest.mark.django_db(transaction=True)

sqlite_only = pytest.mark.skipif(
    connection.vendor != "sqlite", reason="the file and the time-out are SQLite's"
)


class Clock:
    """The monotonic clock, moved by hand."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(database, "monotonic", clock)
    return clock


def busy_timeout() -> float:
    """The seconds that a statement of this thread waits for a lock."""
    with connection.cursor() as cursor:
        return cursor.execute("PRAGMA busy_timeout").fetchone()[0] / 1000


@sqlite_only
async def test_statements_of_request_share_time_limit(clock, monkeypatch):
    monkeypatch.setitem(connection.settings_dict["OPTIONS"], "timeout", 5)
    waits = []

    def wait(seconds: float) -> None:
        waits.append(busy_timeout())
        clock.now += seconds

    with waiting_at_most(5.0):
        await in_database(wait, 3.0)
        await in_database(wait, 1.5)
        await in_database(wait, 0.5)
        with pytest.raises(DatabaseUnavailable, match="locked, full or away"):
            await in_database(wait, 0.0)
    assert waits == pytest.approx([4.8, 1.8, 0.3])


@sqlite_only
async def test_requests_have_separate_time_limits(clock):
    async def request() -> float:
        with waiting_at_most(1.0):
            return await in_database(busy_timeout)

    clock.now = 100.0
    assert await asyncio.gather(request(), request()) == pytest.approx([0.8, 0.8])


async def test_waiting_for_thread_counts_towards_time_limit():
    """However many requests wait before: the threads are stuck, and not the database."""
    stuck = threading.Event()
    with waiting_at_most(30.0):
        waiting = [
            asyncio.ensure_future(in_database(stuck.wait, 30)) for _ in range(database.THREADS)
        ]
        await asyncio.sleep(0.1)
        ran = threading.Event()
        with waiting_at_most(0.1), pytest.raises(DatabaseUnavailable):
            await in_database(ran.set)
        stuck.set()
        await asyncio.gather(*waiting)
    assert not ran.is_set()


async def test_call_may_have_its_own_time_limit(clock):
    with waiting_at_most(0.0):
        assert await in_database(lambda: True, within_s=1.0)


@pytest.fixture
def file() -> Path:
    return Path(connection.settings_dict["NAME"])


@sqlite_only
async def test_deleted_database_file_is_not_recreated(file: Path):
    await in_database(Organisation.objects.count)
    moved = file.rename(file.with_suffix(".away"))
    try:
        with pytest.raises(DatabaseUnavailable):
            await in_database(Organisation.objects.count)
        assert not file.exists()
    finally:
        moved.rename(file)
    await in_database(Organisation.objects.count)


@sqlite_only
async def test_replaced_database_file_is_used(file: Path):
    """As where an operator puts a backup in its place."""
    await asyncio.gather(*[require_writable() for _ in range(database.THREADS)])
    copy = file.with_suffix(".copy")
    with sqlite3.connect(file) as old, sqlite3.connect(copy) as new:
        old.backup(new)
    new.close()
    old.close()
    original = file.rename(file.with_suffix(".away"))
    try:
        copy.rename(file)
        await asyncio.gather(*[require_writable() for _ in range(database.THREADS)])
        padding = await in_database(WriteProbe.objects.values_list("padding", flat=True).get)
        with sqlite3.connect(file) as seen:
            assert seen.execute("SELECT padding FROM proxy_writeprobe").fetchone() == (padding,)
        seen.close()
    finally:
        close_connections()
        original.rename(file)


async def test_readiness_writes_one_row_repeatedly():
    for _ in range(3):
        await require_writable()
    assert await in_database(WriteProbe.objects.count) == 1


@sqlite_only
async def test_locked_database_is_not_ready(file: Path):
    with sqlite3.connect(file) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(DatabaseUnavailable, match="No record can be written"):
            await require_writable()
        other.rollback()
    other.close()
    await require_writable()
