import csv
import json
from argparse import ArgumentParser
from collections.abc import Iterable
from datetime import date
from typing import Any

from django.core.management.base import CommandError
from django.db.models import QuerySet

from gateway import terminal
from gateway.audit.events import COMMAND, record_event
from gateway.audit.models import Event
from gateway.people.models import Organisation
from gateway.usage.cells import safe_cell
from gateway.usage.models import Observation, Sketch

_OF_THE_IMAGE = (
    "request_id",
    "at",
    "organisation",
    "examination",
    "bundle_sha256",
    "width",
    "height",
)


class Command(terminal.Command):
    help = (
        "Writes the numbers that are kept of each answered image, or their daily sketches, to "
        "stdout: as CSV, or as a line of JSON for each."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--format", choices=("csv", "jsonl"), default="csv")
        parser.add_argument("--sketches", action="store_true", help="the daily ones; as jsonl")
        parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--organisation", help="default: all")

    def handle(
        self,
        *args: Any,
        format: str,
        sketches: bool,
        first: date | None = None,
        last: date | None = None,
        organisation: str | None = None,
        **options: Any,
    ) -> None:
        days = first or date(2000, 1, 1), last or date(9999, 12, 31)
        owner = None
        if organisation is not None:
            owner = Organisation.objects.filter(name=organisation).first()
            if owner is None:
                raise CommandError("there is no organisation of this name")
        kind = "sketches" if sketches else "observations"
        subject = f"{kind} {days[0]} to {days[1]}"
        record_event(Event.Action.OBSERVATIONS_EXPORTED, COMMAND, owner, subject)
        owned = {} if owner is None else {"organisation": owner}
        if sketches:
            rows = Sketch.objects.filter(day__range=days, **owned).order_by("day", "pk")
            self._write_json(_sketch(row) for row in rows.select_related("organisation"))
            return
        observations = Observation.objects.filter(at__date__range=days, **owned)
        observations = observations.select_related("organisation").order_by("at", "request_id")
        if format == "jsonl":
            self._write_json(
                _image(row) | {"values": row.values}
                for row in observations.iterator(chunk_size=2000)
            )
        else:
            self._write_csv(observations)

    def _write_json(self, rows: Iterable[dict[str, Any]]) -> None:
        for row in rows:
            self.stdout.write(json.dumps(row, default=str))

    def _write_csv(self, observations: QuerySet[Observation]) -> None:
        """Write a column for each statistic that any image has, in two passes over the rows."""
        names: set[tuple[str, str]] = set()
        for row in observations.iterator(chunk_size=2000):
            names.update((group, name) for group, values in row.values.items() for name in values)
        columns = sorted(names)
        writer = csv.writer(_Lines(self.stdout), lineterminator="")
        titles = (safe_cell(f"{group}.{name}") for group, name in columns)
        writer.writerow([*_OF_THE_IMAGE, *titles])
        for row in observations.iterator(chunk_size=2000):
            values = (row.values.get(group, {}).get(name, "") for group, name in columns)
            writer.writerow([*map(safe_cell, _image(row).values()), *values])


class _Lines:
    """A file for the csv module, whose every write is a line of the command's output."""

    def __init__(self, stdout: Any) -> None:
        self._stdout = stdout

    def write(self, line: str) -> None:
        self._stdout.write(line)


def _image(row: Observation) -> dict[str, Any]:
    return {name: str(getattr(row, name)) for name in _OF_THE_IMAGE}


def _sketch(row: Sketch) -> dict[str, Any]:
    names = ("day", "organisation", "bundle_sha256", "width", "height", "images", "examinations")
    return {name: getattr(row, name) for name in names} | {"counts": row.counts}
