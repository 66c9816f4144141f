"""What the operations page shows of the gateway's own database; every function is blocking.

Each answers within a fraction of a second on a million records: it reads counts, or records by
their index.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import nlargest

from django.db.models import Count, Q, Sum
from django.utils import timezone

from gateway.audit.chain import today
from gateway.audit.models import Event, Record, Source, State
from gateway.monitor.models import Alert, ProbeRun, ServedModel
from gateway.monitor.runs import ProbeState, probe_state
from gateway.usage.models import Tally
from gateway.usage.tally import fold

# Of the requests that were not refused for a fault of their own, this share succeeds.
OBJECTIVE = 0.995

_BAD = (State.FAILED, State.UNKNOWN)
_VALID = (State.SUCCEEDED, *_BAD)
_DAYS = 30

_Action = Event.Action
_CHANGES = (
    _Action.KEY_ISSUED,
    _Action.KEY_ROTATED,
    _Action.KEY_REVOKED,
    _Action.PERSON_ADDED,
    _Action.PERSON_CHANGED,
    _Action.PERSON_REMOVED,
    _Action.ORGANISATION_ADDED,
    _Action.ORGANISATION_CHANGED,
    _Action.ORGANISATION_REMOVED,
    _Action.AUDIT_PRUNED,
)


@dataclass(frozen=True, slots=True)
class Probes:
    """The state of the probes, and the last ones, newest first."""

    state: ProbeState
    runs: list[ProbeRun]


@dataclass(frozen=True, slots=True)
class Objective:
    """How many of the clients' valid requests failed in a period (`1 h`, `24 h` or `30 d`)."""

    period: str
    valid: int
    bad: int

    @property
    def share(self) -> float | None:
        """Return the share that succeeded; None without requests."""
        return None if self.valid == 0 else 1 - self.bad / self.valid

    @property
    def budget_left(self) -> float:
        """Return what is left of the failures that the objective allows.

        1 is all of them, 0 is none, and less than 0 is more failures than allowed.
        """
        allowed = self.valid * (1 - OBJECTIVE)
        return 1.0 if self.bad == 0 else 1 - self.bad / allowed


@dataclass(frozen=True, slots=True)
class Change:
    """Something that changed: an action of the audit trail, or `model.served`."""

    at: datetime
    what: str
    subject: str
    by: str = ""


def probes(count: int = 60) -> Probes:
    return Probes(probe_state(), list(ProbeRun.objects.all()[:count]))


def objectives(now: datetime | None = None) -> list[Objective]:
    """Return what is left of the objective over an hour, a day, and thirty days.

    The thirty days are UTC days, today included: those before today are read from the usage counts.
    """
    now = now or timezone.now()
    fold()
    return [
        _objective("1 h", _outcomes_since(now - timedelta(hours=1))),
        _objective("24 h", _outcomes_since(now - timedelta(hours=24))),
        _objective(f"{_DAYS} d", _outcomes_of_days()),
    ]


def open_alerts() -> list[Alert]:
    """Return the alerts that fire, newest first."""
    return list(Alert.objects.filter(resolved=None).exclude(severity="none"))


def last_alerts(count: int = 20) -> list[Alert]:
    """Return the alerts that fired last, newest first, also those that were resolved."""
    return list(Alert.objects.exclude(severity="none")[:count])


def changes(count: int = 50) -> list[Change]:
    """Return what changed in the last thirty days, newest first: models, keys, people."""
    first = today() - timedelta(days=_DAYS)
    # By day and position, which are indexed.
    events = Event.objects.filter(day__gte=first, action__in=_CHANGES)
    models = ServedModel.objects.filter(first_seen__date__gte=first)
    found = [
        *(
            Change(event.at, event.action, event.subject, event.actor)
            for event in events.order_by("-day", "-position")[:count]
        ),
        *(Change(model.first_seen, "model.served", str(model)) for model in models[:count]),
    ]
    return nlargest(count, found, key=lambda change: change.at)


def _outcomes_since(moment: datetime) -> Iterable[tuple[str, int]]:
    records = Record.objects.filter(received_at__gte=moment, source=Source.CLIENT)
    return records.order_by().values_list("state").annotate(Count("pk"))


def _outcomes_of_days() -> Iterable[tuple[str, int]]:
    day = today() - timedelta(days=_DAYS - 1)
    tallies = Tally.objects.filter(Q(day__gte=day), dimension="outcome", value__in=_VALID)
    return tallies.order_by().values_list("value").annotate(Sum("count"))


def _objective(period: str, outcomes: Iterable[tuple[str, int]]) -> Objective:
    counts = Counter(dict(outcomes))
    bad = sum(counts[state] for state in _BAD)
    return Objective(period, sum(counts[state] for state in _VALID), bad)
