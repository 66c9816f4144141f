import sqlite3
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import Error

from gateway.backup.create import create_backup
from gateway.backup.errors import BackupError
from gateway.terminal import Command as TerminalCommand
from pipeline.text import one_line


class Command(TerminalCommand):
    help = (
        "Writes a backup of the database into a new folder below DESTINATION, while gateways use "
        "the database. Secrets are not in it: back up gateway.env apart from it. PostgreSQL needs "
        "pg_dump. Exit status 1 where the audit trail is not intact; the backup is kept then, and "
        "no older one is removed."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("destination", type=Path, metavar="DESTINATION")
        parser.add_argument(
            "--keep",
            type=_positive,
            metavar="N",
            help="then remove all but the newest N backups of this database",
        )
        parser.add_argument(
            "--skip-verification",
            action="store_true",
            help="do not verify the audit trail of the copy, which takes a minute for a million "
            "rows",
        )

    def handle(
        self,
        *args: Any,
        destination: Path,
        keep: int | None = None,
        skip_verification: bool = False,
        **options: Any,
    ) -> None:
        try:
            backup = create_backup(destination, keep=keep, verify=not skip_verification)
        except (BackupError, OSError, sqlite3.Error, Error) as error:
            raise CommandError(f"no backup was made: {one_line(str(error))}") from error
        manifest = backup.manifest
        self.stdout.write(
            f"{backup.path}: {sum(manifest.content.rows.values())} rows, {manifest.dump.bytes} "
            f"bytes, audit key {manifest.audit_key}"
        )
        for path in backup.removed:
            self.stdout.write(f"removed {path}")
        for fault in backup.faults:
            self.stderr.write(fault)
        if backup.faults:
            raise CommandError(
                f"the backup was made, but the audit trail in it is not intact: "
                f"{len(backup.faults)} faults; no older backup was removed"
            )


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise ArgumentTypeError("a whole number from 1 is needed")
    return number
