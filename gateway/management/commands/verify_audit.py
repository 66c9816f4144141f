import re
from argparse import ArgumentParser, FileType
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any, TextIO

from django.conf import settings
from django.core.management.base import CommandError
from django.db import DatabaseError
from django.utils import timezone

from gateway import terminal
from gateway.audit.chain import Head, today
from gateway.audit.models import EVENTS, REQUESTS, TRAILS, AuditCheck, Record
from gateway.audit.pruned import Pruned
from gateway.audit.verification import (
    PrunedDays,
    all_pruned,
    faults_of_day,
    gaps,
    headless_days,
    printable_trail,
    unsealed_rows,
)
from gateway.reviews.verification import feedback_faults

_MONTH, _DAY = "(?:0[1-9]|1[0-2])", "(?:0[1-9]|[12][0-9]|3[01])"
_PRINTED = re.compile(
    rf"({REQUESTS}|{EVENTS}) (20\d\d-{_MONTH}-{_DAY}): (\d{{1,9}}) rows, ([0-9a-f]{{64}})"
)


class Command(terminal.Command):
    help = (
        "Checks every seal of the audit trail. A line for each day, with its last seal: keep these "
        "elsewhere, and a day that is deleted or made anew shows, too. Fails where a row was "
        "changed, added, moved or taken out. With the whole trail, what was said about answers is "
        "compared with the events that seal it, and the result is kept for the metrics."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--from", dest="first", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument("--to", dest="last", type=date.fromisoformat, metavar="YYYY-MM-DD")
        parser.add_argument(
            "--against", type=FileType(), metavar="FILE", help="lines that it printed earlier"
        )

    def handle(
        self,
        *args: Any,
        first: date | None = None,
        last: date | None = None,
        against: TextIO | None = None,
        **options: Any,
    ) -> None:
        if against and (first or last):
            raise CommandError("--against needs the whole trail: leave out --from and --to")
        is_whole = first is None and last is None
        first, last = first or date.min, last or date.max
        broken = rows = 0
        for head in Head.objects.filter(day__range=(first, last)).order_by("trail", "day"):
            day_faults = faults_of_day(head)
            name = f"{printable_trail(head.trail)} {head.day}"
            broken += self._report(f"{name}: {fault}" for fault in day_faults)
            if not day_faults:
                rows += head.length
                self.stdout.write(f"{head.trail} {head.day}: {head.length} rows, {head.seal}")
        pruned = all_pruned()
        broken += self._report(headless_days(first, last))
        broken += self._report(gaps(pruned)) + self._report(unsealed_rows())
        broken += sum(not self._is_there(line, pruned) for line in against or ())
        broken += self._report(feedback_faults()) if is_whole else 0
        self._open()
        if is_whole:
            self._keep(broken, rows)
        if broken:
            raise CommandError(
                f"the audit trail is not intact: {broken} faults; or LESIONSERVE_AUDIT_KEY is not "
                "the one that sealed it"
            )

    def _keep(self, broken: int, rows: int) -> None:
        """Write the result for the metrics, where the database can be written and is migrated.

        A copy of a backup is read-only, and an older version's database has no table for it.
        """
        try:
            AuditCheck.objects.create(intact=not broken, faults=broken, rows=rows)
        except DatabaseError as error:
            self.stderr.write(f"the metrics will not show this verification: {error}")

    def _report(self, fault_lines: Iterable[str]) -> int:
        """Write the faults to stderr. Return how many there are."""
        lines = list(fault_lines)
        for line in lines:
            self.stderr.write(line)
        return len(lines)

    def _is_there(self, line: str, pruned: PrunedDays) -> bool:
        """Return whether the day of a line of earlier output is intact, or was pruned since."""
        match = _PRINTED.fullmatch(line.strip())
        if match is None:
            raise CommandError(f"not a line of verify_audit: {line.strip()[:80]}")
        trail, text, length, seal = match.groups()
        day = date.fromisoformat(text)
        row = TRAILS[trail].objects.filter(day=day, position=length, seal=seal)
        gone = any(
            pruned_day.day == text and _holds(pruned_day, int(length), seal)
            for pruned_day in pruned[trail]
        )
        if _may_be_pruned(day) or gone or row.exists():
            return True
        self.stderr.write(f"{trail} {day}: row {length} is not there as it was printed")
        return False

    def _open(self) -> None:
        """Report rows that a crash left open, and that `sweep_audit` closes."""
        late = timezone.now() - timedelta(seconds=settings.DEADLINE_S)
        count = Record.objects.left_open(late).count()
        if count:
            self.stderr.write(f"{count} requests were never finished; sweep_audit closes them")


def _holds(pruned: Pruned, length: int, seal: str) -> bool:
    """Return whether a pruned day had the listed rows; a day that grew later has another seal."""
    return pruned.length > length or (pruned.length, pruned.seal) == (length, seal)


def _may_be_pruned(day: date) -> bool:
    days = settings.RETENTION_DAYS
    return days is not None and day < today() - timedelta(days=days)
