import sqlite3
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError
from django.db import Error

from gateway.backup.errors import BackupError
from gateway.backup.restore import check_backup, restore_backup
from gateway.terminal import Command as TerminalCommand
from pipeline.text import one_line


class Command(TerminalCommand):
    help = (
        "Restores the database from a backup. Stop every gateway first. The backup, its audit "
        "trail included, is verified before anything is replaced; interrupted, the database is as "
        "it was before. PostgreSQL needs pg_restore."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=Path, metavar="BACKUP", help="the folder of one backup")
        parser.add_argument(
            "--replace", action="store_true", help="also where the database holds rows"
        )
        parser.add_argument(
            "--accept-faults",
            action="store_true",
            help="also where the audit trail in the backup is not intact",
        )
        parser.add_argument(
            "--check", action="store_true", help="only check the backup; change nothing"
        )

    def handle(
        self,
        *args: Any,
        source: Path,
        replace: bool = False,
        accept_faults: bool = False,
        check: bool = False,
        **options: Any,
    ) -> None:
        faults = 0
        try:
            if check:
                manifest = check_backup(source, accept_faults=accept_faults)
            else:
                manifest, faults = restore_backup(
                    source, replace=replace, accept_faults=accept_faults
                )
        except (BackupError, OSError, sqlite3.Error, Error) as error:
            raise CommandError(f"nothing was changed: {one_line(str(error))}") from error
        what = "is intact" if check else "restored"
        trail = f"an audit trail with {faults} faults" if faults else "an intact audit trail"
        self.stdout.write(
            f"{source}: {what}; {sum(manifest.content.rows.values())} rows of "
            f"{manifest.made_at:%Y-%m-%d %H:%M:%S} UTC" + ("" if check else f", {trail}")
        )
        if not check:
            self.stdout.write(
                "Keys that were revoked, and people who left, since then are active again: revoke "
                "them now."
            )
