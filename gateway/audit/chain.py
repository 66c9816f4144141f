"""A seal for each row of the audit trail, which reveals tampering.

Each row is sealed once, with its day (UTC), its position in that day, and an HMAC over the previous
seal and all of the row's values. The day's head holds the day's length, its last seal and the day's
number in the trail, under an HMAC of its own. So `verify_audit` finds a row that was changed,
added, moved or removed, and a day that is missing between others, unless the forger has the audit
key, too. Days are linked by their number only, so old days can be deleted whole.
"""

import hashlib
import hmac
import json
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, ClassVar, Protocol, Self

from django.conf import settings
from django.db import models
from django.db.models import Max


class Sealed(models.Model):
    """A row of a trail. Its day is null until it is sealed."""

    day = models.DateField(null=True, editable=False)
    position = models.PositiveBigIntegerField(null=True, editable=False)
    seal = models.CharField(max_length=64, default="", editable=False)

    # Fields that were added when sealed rows existed. The sealed form leaves each of them out where
    # it holds its default: so older rows keep their seal, and a value that is added, removed or
    # changed is found in any row.
    added_later: ClassVar[frozenset[str]] = frozenset()

    class Meta:
        abstract = True

    def values(self) -> dict[str, Any]:
        """Return all values of the row but its seal, by field."""
        return {
            field.attname: getattr(self, field.attname)
            for field in self._meta.concrete_fields
            if not field.primary_key and field.attname != "seal"
        }

    def content(self) -> bytes:
        """Return what the seal covers: all values of the row, in one canonical form."""
        values = self.values()
        for name in self.added_later:
            field = self._meta.get_field(name)
            assert isinstance(field, models.Field)
            if values[name] == field.get_default():
                del values[name]
        return canonical(values)


class DayEnd(Protocol):
    """What a head's HMAC covers: of a `Head`, or of the model as it was in a migration."""

    @property
    def trail(self) -> str: ...
    @property
    def day(self) -> date: ...
    @property
    def number(self) -> int: ...
    @property
    def length(self) -> int: ...
    @property
    def seal(self) -> str: ...


class Head(models.Model):
    """Where one day of a trail ends: its length and its last seal.

    Writers lock this row, so that they append one at a time.
    """

    trail = models.CharField(max_length=16)
    day = models.DateField()
    number = models.PositiveIntegerField(default=0, help_text="from 1, without a gap")
    length = models.PositiveBigIntegerField(default=0)
    seal = models.CharField(max_length=64, default="", help_text="of the last row")
    proof = models.CharField(max_length=64, default="", help_text="over all of the above")
    tallied = models.PositiveBigIntegerField(
        default=0, help_text="rows of this day that are in the usage numbers"
    )

    class Meta:
        constraints = [models.UniqueConstraint(fields=["trail", "day"], name="one_head_a_day")]

    def __str__(self) -> str:
        return f"{self.trail} {self.day}: {self.length} rows"

    @classmethod
    def locked(cls, trail: str, day: date) -> Self:
        """Return the head of the day, locked until the transaction ends."""
        of_the_day = cls.objects.select_for_update().filter(trail=trail, day=day)
        if (head := of_the_day.first()) is not None:
            return head
        last = cls.objects.filter(trail=trail).aggregate(number=Max("number"))["number"]
        new = cls(trail=trail, day=day, number=(last or 0) + 1)
        cls.objects.bulk_create([new], ignore_conflicts=True)
        return of_the_day.get()

    def append(self, row: Sealed) -> None:
        """Seal the row as the next of the day. The caller saves both."""
        self.length += 1
        row.day, row.position = self.day, self.length
        row.seal = self.seal = seal_of(row, self.seal)
        self.proof = proof_of(self)


def canonical(values: dict[str, Any]) -> bytes:
    """Return the values as canonical JSON: equal values give equal text."""
    return json.dumps(values, sort_keys=True, separators=(",", ":"), default=_plain).encode()


def today() -> date:
    return datetime.now(UTC).date()


def seal_of(row: Sealed, previous: str) -> str:
    return _hmac(previous.encode() + b"\n" + row.content())


def proof_of(head: DayEnd) -> str:
    """Return the HMAC over the values of a head."""
    return _hmac(f"{head.trail} {head.day} {head.number} {head.length} {head.seal}".encode())


def _hmac(message: bytes) -> str:
    return hmac.new(settings.AUDIT_KEY.encode(), message, hashlib.sha256).hexdigest()


def _is_equal(stored: object, computed: str) -> bool:
    """Return whether the seals are equal; `stored` may hold anything."""
    return hmac.compare_digest(str(stored).encode(), computed.encode())


def faults(model: type[Sealed], head: Head) -> Iterator[str]:
    """Yield what is wrong with one day of a trail; nothing for an intact one.

    Rows that were added after `head` was read are ignored.
    """
    if not _is_equal(head.proof, proof_of(head)):
        yield "the day's head is not what was sealed"
    previous, position = "", 0
    of_the_day = model._default_manager.filter(day=head.day)
    rows = of_the_day.filter(position__lte=head.length).order_by("position")
    unread = rows.iterator(chunk_size=2000)
    while True:
        try:
            row = next(unread, None)
        except (AttributeError, TypeError, ValueError):
            yield f"row {position + 1} or one behind it holds a value that its column cannot hold"
            return
        if row is None:
            break
        assert row.position is not None, "the query is by position"
        if row.position != position + 1:
            yield f"after row {position} comes row {row.position}"
        if not _is_equal(row.seal, seal_of(row, previous)):
            yield f"row {row.position} is not what was sealed"
        # Continue with the row's own seal, so that one fault is reported once.
        previous, position = row.seal, row.position
    if (position, previous) != (head.length, head.seal):
        yield f"the day ends with row {position}, and not as sealed with row {head.length}"
    # In this order: a head is never older than its rows.
    last = of_the_day.aggregate(position=Max("position"))["position"] or 0
    length = Head.objects.values_list("length", flat=True).get(pk=head.pk)
    if last > length:
        yield f"behind the day's end there is row {last}"


def missing_days(trail: str, pruned: Collection[int]) -> Iterator[str]:
    """Yield a line for each gap: days that are missing between others, or before them unpruned."""
    heads = list(Head.objects.filter(trail=trail).order_by("number"))
    if heads and heads[0].number > 1 and heads[0].number - 1 not in pruned:
        yield f"days are missing before {heads[0].day}"
    for before, after in pairwise(heads):
        if after.number != before.number + 1:
            yield f"days are missing between {before.day} and {after.day}"


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    return str(value)
