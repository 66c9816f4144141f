from uuid import uuid4

from gateway.database import IMAGE_WAITS_S, DatabaseUnavailable, in_database, ping
from gateway.predict.models import WriteProbe

# A record changes about ten pages of 4 kB: its row, its indexes, the head of its day.
_REPEATS = 48 * 1024 // 32


async def require_writable() -> None:
    """Commit a row of a record's size, to check that the disk has room for one.

    A transaction that is rolled back writes nothing to the disk. Raise NotReady on a database that
    was not migrated, and DatabaseUnavailable where it cannot be read or written.
    """
    try:
        await in_database(_write, within_s=IMAGE_WAITS_S)
    except DatabaseUnavailable as error:
        raise DatabaseUnavailable(
            "No record can be written: the database is locked, full, read-only or away. The "
            "gateway's log has the reason."
        ) from error


def _write() -> None:
    ping()
    # Different text each time: SQLite writes no page whose bytes stay the same.
    WriteProbe.objects.bulk_create(
        [WriteProbe(pk=1, padding=uuid4().hex * _REPEATS)],
        update_conflicts=True,
        unique_fields=["pk"],
        update_fields=["padding"],
    )
