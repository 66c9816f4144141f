from argparse import ArgumentParser
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils import timezone

from gateway.usage.chain import Head, Sealed, faults
from gateway.usage.models import EVENTS, REQUESTS, Event, Record

_MODELS: dict[str, type[Sealed]] = {REQUESTS: Record, EVENTS: Event}


class Command(BaseCommand):
    help = (
        "Checks every seal of the audit trail. A line for each day, with its last seal: keep these "
        "elsewhere, and a day that is deleted or made anew shows, too. Fails where a row was "
        "changed, added, moved or taken out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD")

    def handle(
        self, *args: Any, first: date | None = None, last: date | None = None, **options: Any
    ) -> None:
        first, last = first or date.min, last or date.max
        broken = 0
        for head in Head.objects.filter(day__range=(first, last)).order_by("trail", "day"):
            found = list(faults(_MODELS[head.trail], head))
            broken += len(found)
            for fault in found:
                self.stderr.write(f"{head.trail} {head.day}: {fault}")
            if not found:
                self.stdout.write(f"{head.trail} {head.day}: {head.length} rows, {head.seal}")
        broken += self._headless(first, last)
        self._open()
        if broken:
            raise CommandError(f"the audit trail is not intact: {broken} faults")

    def _headless(self, first: date, last: date) -> int:
        """Days whose head was taken out, which is what seals their end."""
        missing = 0
        for trail, model in _MODELS.items():
            known = Head.objects.filter(trail=trail).values("day")
            rows = model._default_manager.filter(day__range=(first, last)).exclude(day__in=known)
            for day in rows.order_by("day").values_list("day", flat=True).distinct():
                self.stderr.write(f"{trail} {day}: the head of the day is missing")
                missing += 1
        return missing

    def _open(self) -> None:
        """Rows that are not sealed yet: what a crash has left to the sweeper."""
        late = timezone.now() - timedelta(seconds=settings.DEADLINE_S)
        count = Record.objects.left_open(late).count()
        if count:
            self.stderr.write(f"{count} requests were never finished; sweep_audit closes them")
