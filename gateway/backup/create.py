"""Make a backup of the gateway's database while the gateway uses it."""

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from django.db import connection

from gateway.audit.verification import all_faults
from gateway.backup import content, postgres, sqlite
from gateway.backup.folder import BackupFolder
from gateway.backup.manifest import MANIFEST, Content, Dump, Manifest, key_fingerprint
from gateway.reviews.verification import feedback_faults


@dataclass(frozen=True)
class Backup:
    """A new backup, the faults of the audit trail in it, and the old backups that it replaced."""

    path: Path
    manifest: Manifest
    faults: list[str]
    removed: list[Path]


def create_backup(destination: Path, *, keep: int | None, verify: bool) -> Backup:
    """Write a new backup into the folder, then remove all but the newest `keep`.

    Nothing is removed where the audit trail has faults: the old backups may be the better ones.
    Raise BackupError, and leave no part of a backup.
    """
    made_at = datetime.now(UTC)
    with BackupFolder.locked(destination) as backups, backups.unfinished() as folder:
        make = _of_postgres if connection.vendor == "postgresql" else _of_sqlite
        manifest, faults = make(folder, made_at, verify)
        (folder / MANIFEST).write_bytes(manifest.to_json())
        path = backups.publish(folder, made_at)
        may_remove = keep is not None and not faults
        removed = backups.remove_old(keep or 1, path) if may_remove else []
    return Backup(path, manifest, faults, removed)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _of_sqlite(folder: Path, made_at: datetime, verify: bool) -> tuple[Manifest, list[str]]:
    dump = folder / sqlite.DUMP
    sqlite.copy_database(dump)
    source = sqlite.source()
    with sqlite.connected_to(dump, read_only=True):
        held = content.read_content()
        faults = [*all_faults(), *feedback_faults()] if verify else []
    return _manifest(dump, made_at, source, held, len(faults) if verify else None), faults


def _of_postgres(folder: Path, made_at: datetime, verify: bool) -> tuple[Manifest, list[str]]:
    dump = folder / postgres.DUMP
    with postgres.snapshot() as snapshot:
        held = content.read_content()
        postgres.dump_database(dump, snapshot)
        faults = [*all_faults(), *feedback_faults()] if verify else []
        source = postgres.source()
        return _manifest(dump, made_at, source, held, len(faults) if verify else None), faults


def _manifest(
    dump: Path, made_at: datetime, source: str, held: Content, faults: int | None
) -> Manifest:
    is_postgres = connection.vendor == "postgresql"
    return Manifest(
        made_at=made_at,
        lesionserve=version("lesionserve"),
        engine="postgresql" if is_postgres else "sqlite",
        engine_version=postgres.version() if is_postgres else sqlite.version(),
        source=source,
        dump=Dump.model_validate(
            {"name": dump.name, "bytes": dump.stat().st_size, "sha256": sha256_of(dump)}
        ),
        content=held,
        faults=faults,
        audit_key=key_fingerprint(),
    ).sealed()
