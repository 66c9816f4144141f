import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from contextvars import ContextVar
from time import monotonic
from typing import TypeVar

import structlog
from django.db import Error, OperationalError, connection, connections
from django.db.migrations.executor import MigrationExecutor

from gateway.errors import NotReady
from pipeline.errors import Unavailable

T = TypeVar("T")

logger = structlog.stdlib.get_logger(__name__)

# Each thread keeps one connection. A request needs one for three short statements, a few
# milliseconds against the seconds of its inference; SQLite has one writer anyway.
THREADS = 4

# What a request waits for the database, all its statements together: an image, and a page.
IMAGE_WAITS_S = 5.0
PAGE_WAITS_S = 10.0

# The database itself gives up earlier, so that a statement is known not to have happened. What is
# left after that is for a server that says nothing at all.
_LOCK_S, _STATEMENT_S = 5.0, 8.0
_EARLIER_S = 0.2

_CLOSE_WITHIN_S = 10

_is_migrated = threading.Event()  # looked up until it is

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
_opened = threading.local()  # what each thread knows of its connection


class _Waiting:
    """What is left of the seconds that a request may wait for the database."""

    def __init__(self, seconds: float) -> None:
        self.left = seconds


_waiting: ContextVar[_Waiting | None] = ContextVar("waiting", default=None)


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"


@contextmanager
def waiting_at_most(seconds: float) -> Iterator[None]:
    """Bound what everything inside waits for the database, together."""
    token = _waiting.set(_Waiting(seconds))
    try:
        yield
    finally:
        _waiting.reset(token)


async def in_database(
    call: Callable[..., T], *arguments: object, within_s: float | None = None
) -> T:
    """Run `call`, which blocks on the database, in a thread that owns a connection.

    Django's own async methods share one thread, or open a connection for each request. The call
    may wait for `within_s`, or else for what is left in `waiting_at_most`. Raises
    DatabaseUnavailable for whatever the database raises, and where it takes longer.
    """
    waiting = _waiting.get()
    if within_s is None:
        within_s = PAGE_WAITS_S if waiting is None else waiting.left
    begun = monotonic()
    try:
        return await _in_thread(within_s, call, arguments)
    except (Error, TimeoutError) as error:
        logger.exception("the database failed")
        raise DatabaseUnavailable(
            "The request cannot be recorded: the database is locked, full or away. Try again in a "
            "few seconds; your operator finds the reason in the gateway's log."
        ) from error
    finally:
        if waiting is not None:
            waiting.left -= monotonic() - begun


async def background(call: Callable[[], T]) -> T:
    """Run `call` as `in_database` does, for nobody who waits: it may take as long as it likes."""
    return await asyncio.get_running_loop().run_in_executor(_threads, _connected, None, call, ())


async def _in_thread(seconds: float, call: Callable[..., T], arguments: tuple[object, ...]) -> T:
    if seconds <= 0:
        raise TimeoutError("nothing is left of what the request may wait for the database")
    loop, ends_at = asyncio.get_running_loop(), monotonic() + seconds
    async with asyncio.timeout(seconds):
        return await loop.run_in_executor(_threads, _connected, ends_at, call, arguments)


def ping() -> None:
    """Raise NotReady on a database that was not migrated."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if not _is_migrated.is_set():
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            logger.error("the database is behind this version: python -m gateway.manage migrate")
            raise NotReady("The database is not ready.")
        _is_migrated.set()


def close_connections() -> None:
    """Close the connection of every thread that comes to the end of its work."""
    together = threading.Barrier(THREADS)

    def close() -> None:
        together.wait(_CLOSE_WITHIN_S)  # so that no thread takes two of these
        connections.close_all()

    wait([_threads.submit(close) for _ in range(THREADS)], _CLOSE_WITHIN_S)


def _connected(ends_at: float | None, call: Callable[..., T], arguments: tuple[object, ...]) -> T:
    """Run `call` on this thread's connection; its locks and statements end before `ends_at`."""
    if connection.vendor == "sqlite":
        _leave_replaced_file()
    # A connection that broke while idle is found here, not by the request.
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
    # In whole seconds, so that it seldom changes: it costs a round trip. 0 would be without end.
    whole = max(0.2, float(int(seconds)))
    if _opened.seconds != whole:
        lock_ms, statement_ms = (
            round(min(bound, whole) * 1000) for bound in (_LOCK_S, _STATEMENT_S)
        )
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout={lock_ms}; SET statement_timeout={statement_ms}")
        _opened.seconds = whole


def _leave_replaced_file() -> None:
    """Close the connection to a file that is not the database any more, be it moved, deleted or
    replaced: what is written to it is lost. Raise OperationalError where there is no file, which
    SQLite would make anew."""
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
