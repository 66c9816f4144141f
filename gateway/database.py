import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

import structlog
from django.db import Error, connection, connections
from django.db.migrations.executor import MigrationExecutor

from gateway.errors import NotReady
from pipeline.errors import Unavailable

T = TypeVar("T")

logger = structlog.stdlib.get_logger(__name__)

# Each thread keeps one connection. A request needs one for three short statements, a few
# milliseconds against the seconds of its inference; SQLite has one writer anyway.
THREADS = 4

# What a request waits for the database. PostgreSQL ends a statement before that, so that it is
# known not to have happened; the last bound is for a server that says nothing at all.
_LOCK_MS, _STATEMENT_MS = 5000, 8000
_WITHIN_S = 10.0

_CLOSE_WITHIN_S = 10

_is_migrated = threading.Event()  # looked up until it is

_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"


async def in_database(
    call: Callable[..., T], *arguments: object, within_s: float | None = _WITHIN_S
) -> T:
    """The one door to blocking database work: runs `call` in a thread that owns a connection.

    Django's own async methods share one thread, or open a connection for each request.
    Raises DatabaseUnavailable for whatever the database raises, and after `within_s`.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(within_s):
            return await loop.run_in_executor(_threads, _connected, call, arguments)
    except (Error, TimeoutError) as error:
        logger.exception("the database failed")
        raise DatabaseUnavailable("The request cannot be recorded now; try again.") from error


def ping() -> None:
    """Raises NotReady on a database that was not migrated."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    if not _is_migrated.is_set():
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            logger.error("the database is behind this version: python -m gateway.manage migrate")
            raise NotReady("The database is not ready.")
        _is_migrated.set()


def close_connections() -> None:
    """Closes the connection of every thread, once their work is done; not of one that is stuck."""
    together = threading.Barrier(THREADS)

    def close() -> None:
        together.wait(_CLOSE_WITHIN_S)  # so that no thread takes two of these
        connections.close_all()

    wait([_threads.submit(close) for _ in range(THREADS)], _CLOSE_WITHIN_S)


def _connected(call: Callable[..., T], arguments: tuple[object, ...]) -> T:
    # A connection that broke while idle is found here, not by the request.
    if connection.connection is not None and not connection.is_usable():
        connection.close()
    if connection.connection is None:
        connection.ensure_connection()
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(
                    f"SET lock_timeout={_LOCK_MS}; SET statement_timeout={_STATEMENT_MS}"
                )
    return call(*arguments)
