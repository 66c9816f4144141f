from argparse import ArgumentParser
from collections.abc import Iterator
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from gateway.audit import atna, jsonl
from gateway.audit.events import COMMAND, record_event
from gateway.audit.models import Event, Record
from gateway.people.models import Organisation


class Command(BaseCommand):
    help = (
        "Writes the sealed audit trail to stdout, one line for each row: as JSON, or as the audit "
        "messages of IHE ATNA (DICOM PS3.15 A.5)."
    )
    requires_system_checks = ()  # as in terminal.Command, whose escapes would change the trail

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=("jsonl", "atna"), default="jsonl")
        parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--organisation", help="default: all")

    def handle(
        self,
        *args: Any,
        format: str,
        first: date | None = None,
        last: date | None = None,
        organisation: str | None = None,
        **options: Any,
    ) -> None:
        first, last = first or date.min, last or date.max
        owner = None
        if organisation is not None:
            owner = Organisation.objects.filter(name=organisation).first()
            if owner is None:
                raise CommandError("there is no organisation of this name")
        days = f"{format} {first} to {last}"
        record_event(Event.Action.AUDIT_EXPORTED, COMMAND, owner, days)
        line = atna.line if format == "atna" else jsonl.line
        for row in _rows(first, last, owner):
            self.stdout.write(line(row))


def _rows(first: date, last: date, owner: Organisation | None) -> Iterator[Record | Event]:
    for model in (Record, Event):
        rows = model.objects.filter(day__range=(first, last)).select_related("organisation")
        if owner is not None:
            rows = rows.filter(organisation=owner)
        yield from rows.order_by("day", "position").iterator(chunk_size=2000)
