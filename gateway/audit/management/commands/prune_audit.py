from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError
from django.db import transaction

from gateway import terminal
from gateway.audit.chain import Head, faults, today
from gateway.audit.events import COMMAND, record_event
from gateway.audit.models import REQUESTS, TRAILS, Event
from gateway.audit.pruned import Pruned


class Command(terminal.Command):
    help = (
        "Deletes whole days of the audit trail that are older than LESIONSERVE_RETENTION_DAYS; the "
        "gateway then deletes the usage numbers of these days. The trail says that it was done. A "
        "day that is not intact, or not yet in the usage numbers, stays."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only say what would go")

    def handle(self, *args: Any, dry_run: bool, **options: Any) -> None:
        days = settings.RETENTION_DAYS
        if days is None:
            raise CommandError("LESIONSERVE_RETENTION_DAYS is not set: everything is kept")
        before = today() - timedelta(days=days)
        heads = Head.objects.filter(day__lt=before).order_by("trail", "day")
        if not heads:
            self.stdout.write(f"nothing is older than {before}")
        for head in heads:
            self.stdout.write(f"{head.trail} {head.day}: {head.length} rows, {head.seal}")
            model = TRAILS.get(head.trail)
            if model is None or any(faults(model, head)):
                raise CommandError(f"{head.trail} {head.day} is not intact; see verify_audit")
            if head.trail == REQUESTS and head.tallied < head.length:
                raise CommandError(
                    f"{head.trail} {head.day} has rows that are not in the usage numbers yet; a "
                    "running gateway counts them within a minute"
                )
            if not dry_run:
                _prune(head)


def _prune(head: Head) -> None:
    with transaction.atomic():
        record_event(Event.Action.AUDIT_PRUNED, COMMAND, subject=str(Pruned.of(head)))
        TRAILS[head.trail].objects.filter(day=head.day).delete()
        head.delete()
