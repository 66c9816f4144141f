"""Find what is wrong with kept feedback, by the sealed events of its giving.

Versions are not rows of a trail. Each has its content's SHA-256 in a sealed event instead, so that
one that was changed, added or removed is found, and so is a row that is counted and does not follow
from its author's latest version.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

from django.db import connection

from gateway.audit.models import EVENTS, Event, Record
from gateway.audit.pruned import pruned_days
from gateway.reviews.feedback import Content
from gateway.reviews.models import Missed, Verdict, Version
from gateway.reviews.sealing import Sealing
from gateway.reviews.standing import missed_values, verdict_values
from pipeline.text import printable

# The record's request id and the author.
_Key = tuple[UUID, str]


@dataclass(slots=True)
class _Sealed:
    """What the events say of one author's feedback on one answer.

    digests: by the number of the version. latest: None where a gateway of before there were
    versions wrote last, whose rows nothing seals.
    """

    digests: dict[int, str] = field(default_factory=dict)
    latest: int | None = None


@dataclass(slots=True)
class _Counted:
    """What is counted of one author's feedback on one answer, as the rows hold it."""

    verdicts: list[tuple[int, str, str, str]] = field(default_factory=list)
    missed: list[tuple[str, int, str]] = field(default_factory=list)

    @classmethod
    def of(cls, content: Content) -> "_Counted":
        return cls(
            sorted(verdict_values(lesion) for lesion in content.lesions),
            sorted(missed_values(missed) for missed in content.missed or ()),
        )

    def ordered(self) -> "_Counted":
        return _Counted(sorted(self.verdicts), sorted(self.missed))


def feedback_faults() -> list[str]:
    """Return a line for each fault of the kept feedback; none for what is intact; blocking.

    Also none in a database of before there were versions. Feedback that is given meanwhile may look
    like a fault, so that only what a second look finds, too, is one.
    """
    if Version._meta.db_table not in connection.introspection.table_names():
        return []
    lines = list(_faults())
    if lines:
        again = set(_faults())
        lines = [line for line in lines if line in again]
    return lines


def _faults() -> Iterator[str]:
    sealed = _sealed()
    latest: dict[_Key, tuple[int, str] | None] = {}
    pruned_until = max((day.day for day in pruned_days(EVENTS)), default="")
    rows = Version.objects.order_by("number").select_related("record")
    for version in rows.iterator(chunk_size=500):
        key = version.record.request_id, version.author
        digest = sealed[key].digests.pop(version.number, None) if key in sealed else None
        is_sealed = digest == version.digest
        latest[key] = (version.number, version.content) if is_sealed else None
        if not is_sealed and (
            digest is not None or not _may_be_pruned(version.record.day, pruned_until)
        ):
            yield f"{_name(key)}: version {version.number} is not what was sealed"
    yield from _missing(sealed)
    yield from _miscounted(sealed, latest, pruned_until)


def _sealed() -> dict[_Key, _Sealed]:
    """Return what the events of the giving say, in their order."""
    sealed: dict[_Key, _Sealed] = defaultdict(_Sealed)
    events = Event.objects.filter(action=Event.Action.FEEDBACK_GIVEN).order_by("day", "position")
    for actor, subject in events.values_list("actor", "subject").iterator(chunk_size=2000):
        sealing = Sealing.parse(subject)
        if sealing is None:
            continue  # the seal of the event is wrong, which the trail's own faults say
        of_key = sealed[sealing.request_id, actor]
        of_key.latest = sealing.number
        if sealing.number is not None and sealing.digest is not None:
            of_key.digests[sealing.number] = sealing.digest
    return sealed


def _missing(sealed: dict[_Key, _Sealed]) -> Iterator[str]:
    """Yield a line for each version that an event names, while its record is there."""
    missing = {key: of_key.digests for key, of_key in sealed.items() if of_key.digests}
    for key, digests in missing.items():
        # Pruning a record removes its feedback; the trail of requests says whether it was pruned.
        if Record.objects.filter(request_id=key[0]).exists():
            for number in sorted(digests):
                yield f"{_name(key)}: version {number} is missing"


def _miscounted(
    sealed: dict[_Key, _Sealed], latest: dict[_Key, tuple[int, str] | None], pruned_until: str
) -> Iterator[str]:
    """Yield a line for each author whose rows do not follow from the latest version.

    latest: each author's latest version and its content, or None where that is not sealed.
    """
    counted, days = _counted()
    for key in sorted(counted.keys() | latest.keys(), key=str):
        version = latest.get(key)
        if key not in sealed:
            if key not in latest and not _may_be_pruned(days[key], pruned_until):
                yield f"{_name(key)}: no event says that it was given"
        elif version is not None and sealed[key].latest == version[0]:
            wanted = _Counted.of(Content.model_validate_json(version[1]))
            if counted.get(key, _Counted()).ordered() != wanted:
                yield f"{_name(key)}: what is counted is not what the latest version says"


def _counted() -> tuple[dict[_Key, _Counted], dict[_Key, date | None]]:
    """Return the rows that hold now, and the day of their record, by answer and author."""
    counted: dict[_Key, _Counted] = defaultdict(_Counted)
    days: dict[_Key, date | None] = {}
    place = "record__request_id", "author", "record__day"
    verdicts = Verdict.objects.filter(replaced_at=None)
    for request_id, author, day, *verdict in verdicts.values_list(
        *place, "lesion", "label", "kind", "new_label"
    ).iterator(chunk_size=2000):
        counted[request_id, author].verdicts.append((*verdict,))
        days[request_id, author] = day
    missed = Missed.objects.filter(replaced_at=None)
    for request_id, author, day, label, count, box in missed.values_list(
        *place, "label", "count", "box"
    ).iterator(chunk_size=2000):
        counted[request_id, author].missed.append((label, count, repr(box)))
        days[request_id, author] = day
    return counted, days


def _may_be_pruned(day: date | None, pruned_until: str) -> bool:
    """Return whether the event of feedback on a record of that day may be pruned.

    The event is of that day or a later one, and the day of a record is sealed.
    """
    return day is not None and str(day) <= pruned_until


def _name(key: _Key) -> str:
    return f"feedback on {key[0]} by {printable(key[1])}"
