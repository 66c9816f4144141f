"""Put a backup in the place of the gateway's database, which is not in use meanwhile."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import connection

from gateway.audit.events import COMMAND, record_event
from gateway.audit.models import Event
from gateway.audit.verification import all_faults
from gateway.backup import content, postgres, sqlite
from gateway.backup.create import sha256_of
from gateway.backup.errors import BackupError
from gateway.backup.manifest import Manifest
from gateway.reviews.verification import feedback_faults
from pipeline.text import few


def check_backup(folder: Path, *, accept_faults: bool) -> Manifest:
    """Return the manifest of a backup that can be restored here. Raise BackupError."""
    manifest = Manifest.read(folder)
    if manifest.engine != connection.vendor:
        raise BackupError(
            f"this backup is of {manifest.engine}, and DATABASE_URL names {connection.vendor}"
        )
    content.require_this_version(manifest.content.migrations, "this backup")
    _require_intact(folder / manifest.dump.name, manifest)
    if manifest.faults and not accept_faults:
        raise BackupError(
            f"the audit trail in this backup had {manifest.faults} faults when it was made; choose "
            "an earlier backup, or add --accept-faults"
        )
    return manifest


def restore_backup(folder: Path, *, replace: bool, accept_faults: bool) -> tuple[Manifest, int]:
    """Restore a backup; return its manifest and the number of faults of its audit trail.

    The trail is verified before anything of the present database is replaced, and the event of the
    restoring is added to it. A failure or a crash leaves the present database. Raise BackupError.
    """
    manifest = check_backup(folder, accept_faults=accept_faults)
    restored = _in_postgres if connection.vendor == "postgresql" else _in_sqlite
    with restored(folder / manifest.dump.name, manifest, replace):
        content.require_same_content(manifest.content)
        faults = [*all_faults(), *feedback_faults()]
        if faults and not accept_faults:
            raise BackupError(
                f"the audit trail in this backup is not intact: {few(faults)}. Choose an earlier "
                "backup, or add --accept-faults"
            )
        record_event(Event.Action.DATABASE_RESTORED, COMMAND, subject=folder.resolve().name)
    return manifest, len(faults)


@contextmanager
def _in_sqlite(dump: Path, manifest: Manifest, replace: bool) -> Iterator[None]:
    with (
        sqlite.exclusive_database(replace=replace) as database,
        sqlite.staged(dump) as copy,
    ):
        _require_intact(copy, manifest)
        with sqlite.connected_to(copy, read_only=False):
            yield
        sqlite.replace_content(database, copy)


@contextmanager
def _in_postgres(dump: Path, manifest: Manifest, replace: bool) -> Iterator[None]:
    with postgres.replaced_content(dump, replace=replace):
        yield


def _require_intact(dump: Path, manifest: Manifest) -> None:
    if not dump.is_file():
        raise BackupError(f"{dump} is missing")
    if dump.stat().st_size != manifest.dump.bytes or sha256_of(dump) != manifest.dump.sha256:
        raise BackupError(f"{dump} was changed, or damaged, after the backup was made")
