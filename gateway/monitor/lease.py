"""Whose turn it is to send a probe, among all workers of all gateways."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from time import monotonic

import structlog
from django.db.models import F
from django.db.models.functions import Now

from gateway.database import DatabaseUnavailable, in_database
from gateway.monitor.models import ProbeLease

logger = structlog.stdlib.get_logger(__name__)

# A probe that is due later than one interval, and this much more, was planned by a clock that has
# been set back since.
_SLACK = timedelta(seconds=5)
_DATABASE_WITHIN_S = 5.0


@dataclass(frozen=True, slots=True)
class Claim:
    """The number of the probe that this process is to send, or None; seconds until the next."""

    turn: int | None
    wait_s: float


def claim_probe(every_s: float) -> Claim:
    """Take the turn if a probe is due; blocking.

    Of any number of processes that ask at once, one gets it: the row is changed only as it was
    read. It is given before the probe is sent, so a process that dies costs one probe. The time is
    the database's, so that the gateways' clocks do not matter.
    """
    lease, now = _read()
    interval = timedelta(seconds=every_s)
    left = lease.due_at - now
    if timedelta() < left <= interval + _SLACK:
        return Claim(None, left.total_seconds())
    unchanged = ProbeLease.objects.filter(pk=lease.pk, turn=lease.turn)
    is_ours = unchanged.update(turn=lease.turn + 1, due_at=now + interval) == 1
    return Claim(lease.turn if is_ours else None, every_s)


def _read() -> tuple[ProbeLease, datetime]:
    """Return the row, which is made on first use, and the database's time."""
    rows = ProbeLease.objects.filter(pk=1).annotate(now=Now())
    lease = rows.first()
    if lease is None:
        new = ProbeLease(pk=1, due_at=Now())
        ProbeLease.objects.bulk_create([new], ignore_conflicts=True)
        lease = rows.get()
    return lease, lease.now


def next_turn() -> int:
    """Return a number for a probe out of turn; blocking. When the next one is due stays."""
    lease, _ = _read()
    ProbeLease.objects.filter(pk=lease.pk).update(turn=F("turn") + 1)
    return lease.turn


class Turns:
    """The turns of this process. Without the database, it takes one in each interval by itself.

    So an outage of the database shows in the probes of every process, not in their absence.
    """

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._alone_at = 0.0  # on the monotonic clock
        self._turn = 0

    async def take(self) -> Claim:
        try:
            claim = await in_database(claim_probe, self._every_s, within_s=_DATABASE_WITHIN_S)
        except DatabaseUnavailable:
            return self._take_alone()
        self._alone_at = monotonic() + claim.wait_s
        return claim

    def _take_alone(self) -> Claim:
        left = self._alone_at - monotonic()
        if left > 0:
            return Claim(None, left)
        self._alone_at = monotonic() + self._every_s
        self._turn += 1
        return Claim(self._turn, self._every_s)
