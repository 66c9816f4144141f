"""The manifest of a backup: what its dump holds, under an HMAC of the audit key.

The HMAC lets nobody without the key change a backup unseen. The fingerprint of the key tells a
wrong key from a changed backup; the key cannot be computed from it.
"""

import hashlib
import hmac
from datetime import date, datetime
from pathlib import Path
from typing import Literal, Self

from django.conf import settings
from pydantic import BaseModel, ConfigDict, ValidationError

from gateway.backup.errors import BackupError
from pipeline.text import few

MANIFEST = "manifest.json"

_MAX_BYTES = 1 << 20
_FINGERPRINT_LETTERS = 16


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Dump(_Part):
    name: Literal["database.sqlite3", "database.pgdump"]
    bytes: int
    sha256: str


class TrailEnd(_Part):
    """The last day of a trail, with its last seal."""

    day: date
    number: int
    length: int
    seal: str


class Content(_Part):
    """What a database holds: its applied migrations by app, the rows of each table, its trails."""

    migrations: dict[str, list[str]]
    rows: dict[str, int]
    trails: dict[str, TrailEnd]


class Manifest(_Part):
    """source: the database without user and password. faults: of the audit trail when the backup
    was made; None where it was not verified.
    """

    format: Literal[1] = 1
    made_at: datetime
    lesionserve: str
    engine: Literal["sqlite", "postgresql"]
    engine_version: str
    source: str
    dump: Dump
    content: Content
    faults: int | None
    audit_key: str
    seal: str = ""

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Return the manifest of a backup that this audit key sealed. Raise BackupError."""
        manifest = cls.parse(folder)
        if manifest.audit_key != key_fingerprint():
            raise BackupError(
                f"this backup needs the audit key with the fingerprint {manifest.audit_key[:16]}, "
                f"and LESIONSERVE_AUDIT_KEY has {key_fingerprint()}: restore the gateway.env of "
                "that time first"
            )
        if not hmac.compare_digest(manifest.seal.encode(), manifest._computed_seal().encode()):
            raise BackupError(f"{folder / MANIFEST} was changed after the backup was made")
        return manifest

    @classmethod
    def parse(cls, folder: Path) -> Self:
        """Return the manifest without checking its seal. Raise BackupError."""
        path = folder / MANIFEST
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except OSError as error:
            raise BackupError(f"{path}: {error.strerror}; name the folder of a backup") from error
        if len(content) > _MAX_BYTES:
            raise BackupError(f"{path} is longer than any manifest")
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            names = few(".".join(map(str, fault["loc"])) or "JSON" for fault in error.errors())
            raise BackupError(
                f"{path} is no manifest of this version of lesionserve ({names})"
            ) from None

    def sealed(self) -> Self:
        return self.model_copy(update={"seal": self._computed_seal()})

    def to_json(self) -> bytes:
        return self.model_dump_json(indent=2).encode() + b"\n"

    def _computed_seal(self) -> str:
        return _hmac(b"lesionserve backup\n" + self.model_dump_json(exclude={"seal"}).encode())


def key_fingerprint() -> str:
    """Return a short fingerprint of the audit key, from which the key cannot be computed."""
    return _hmac(b"lesionserve audit key")[:_FINGERPRINT_LETTERS]


def _hmac(message: bytes) -> str:
    return hmac.new(settings.AUDIT_KEY.encode(), message, hashlib.sha256).hexdigest()
