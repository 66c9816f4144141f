import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from time import monotonic
from typing import TypeVar

import structlog
from django.db import Error, OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext_noop

from gateway.errors import NotReady
from gateway.metrics import DATABASE_ERRORS, DATABASE_SECONDS
from pipeline.errors import Unavailable

T = TypeVar("T")

logger = structlog.stdlib.get_logger(__name__)

# Each thread keeps one connection. A request needs it for three short statements: milliseconds,
# against seconds of inference. SQLite has a single writer anyway.
THREADS = 4

# Seconds that all statements of a request may wait for the database: of an image, and of a page.
IMAGE_WAITS_S = 5.0
PAGE_WAITS_S = 10.0

# The database gives up this much earlier, so that a failed statement is known to have had no
# effect. The remaining time is for a server that does not respond at all.
_LOCK_S, _STATEMENT_S = 5.0, 8.0
_EARLIER_S = 0.2

_CLOSE_WITHIN_S = 10

_is_migrated = threading.Event()  # set once the migrations were found applied

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
_opened = threading.local()  # the state of each thread's connection


class _Waiting:
    """The seconds that a request may still wait for the database."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds


_waiting: ContextVar[_Waiting | None] = ContextVar("waiting", default=None)


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Limit the total time that the context waits for the database."""
    token = _waiting.set(_Waiting(seconds))
    try:
        yield
    finally:
        _waiting.reset(token)


async def in_database(
    call: Callable[..., T], *arguments: object, within_s: float | None = None
) -> T:
    """Run `call`, which blocks on the database, in a thread that owns a connection.

    Django's own async methods share one thread, or open a connection for each request. The call may
    take `within_s` seconds, by default what is left of `waiting_at_most`. Raise DatabaseUnavailable
    for any error of the database, and when that time is up.
    """
    waiting = _waiting.get()
    if within_s is None:
        within_s = PAGE_WAITS_S if waiting is None else waiting.left
    begun = monotonic()
    try:
        return await _in_thread(within_s, call, arguments)
    except (Error, TimeoutError) as error:
        DATABASE_ERRORS.inc()
        logger.exception("the database failed")
        raise DatabaseUnavailable(
            gettext_noop(
                "The request cannot be recorded: the database is locked, full or away. Try again "
                "in a few seconds; your operator finds the reason in the gateway's log."
            )
        ) from error
    finally:
        seconds = monotonic() - begun
        DATABASE_SECONDS.observe(seconds)
        if waiting is not None:
            waiting.left -= seconds


async def background(call: Callable[[], T]) -> T:
    """Run `call` as `in_database` does, without a time limit: no request waits for it."""
    loop = asyncio.get_running_loop()
    try:
        return await loop.run_in_executor(_threads, _connected, None, call, ())
    except Error:
        DATABASE_ERRORS.inc()
        raise


async def _in_thread(seconds: float, call: Callable[..., T], arguments: tuple[object, ...]) -> T:
    if seconds <= 0:
        raise TimeoutError("nothing is left of what the request may wait for the database")
    loop, ends_at = asyncio.get_running_loop(), monotonic() + seconds
    async with asyncio.timeout(seconds):
        return await loop.run_in_executor(_threads, _connected, ends_at, call, arguments)


def database_time() -> datetime:
    """Return the time by the database's clock, the same for all gateways; blocking."""
    statement = (
        "SELECT now()"
        if connection.vendor == "postgresql"
        else "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        (now,) = cursor.fetchone()
    return now if isinstance(now, datetime) else datetime.fromisoformat(now).replace(tzinfo=UTC)


def ping() -> None:
    """Check that the database answers. Raise NotReady where it was not migrated."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if not _is_migrated.is_set():
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            logger.error("the database is behind this version: python -m gateway.manage migrate")
            raise NotReady("The database is not ready.")
        _is_migrated.set()


def close_connections() -> None:
    """Close the connections of all threads, each after its current work."""
    together = threading.Barrier(THREADS)

    def close() -> None:
        together.wait(_CLOSE_WITHIN_S)  # keeps a thread from taking two of these
        connections.close_all()

    wait([_threads.submit(close) for _ in range(THREADS)], _CLOSE_WITHIN_S)


def _connected(ends_at: float | None, call: Callable[..., T], arguments: tuple[object, ...]) -> T:
    """Run `call` on this thread's connection; its locks and statements end before `ends_at`."""
    if connection.vendor == "sqlite":
        _leave_replaced_file()
    # Find a connection that broke while idle here, before the request uses it.
    if connection.connection is not None and not connection.is_usable():
        connection.close()
    if connection.connection is None:
        connection.ensure_connection()
        _opened.seconds = None
    seconds = _STATEMENT_S if ends_at is None else ends_at - monotonic() - _EARLIER_S
    if connection.vendor == "postgresql":
        _bound_postgres(seconds)
    else:
        _bound_sqlite(seconds)
    return call(*arguments)


def _bound_sqlite(seconds: float) -> None:
    lock_s = min(connection.settings_dict["OPTIONS"]["timeout"], seconds)
    connection.connection.execute(f"PRAGMA busy_timeout={max(0, round(lock_s * 1000))}")


def _bound_postgres(seconds: float) -> None:
    # In whole seconds, so that it seldom changes: each change costs a round trip. 0 means no limit.
    whole = max(0.2, float(int(seconds)))
    if _opened.seconds != whole:
        lock_ms, statement_ms = (
            round(min(bound, whole) * 1000) for bound in (_LOCK_S, _STATEMENT_S)
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout={lock_ms}; SET statement_timeout={statement_ms}")
        _opened.seconds = whole


def _leave_replaced_file() -> None:
    """Close the connection to an SQLite file that was moved, deleted or replaced.

    What is written to such a file is lost. Raise OperationalError where the file is missing, since
    SQLite would create an empty one.
    """
    name = connection.settings_dict["NAME"]
    try:
        status = os.stat(name)
    except OSError as error:
        connection.close()
        raise OperationalError(f"the database file cannot be read: {error.strerror}") from error
    file = (status.st_dev, status.st_ino)
    if getattr(_opened, "file", file) != file:
        connection.close()
    _opened.file = file
