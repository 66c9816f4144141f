import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from gateway.audit.chain import Head
from gateway.audit.models import Event

_SUBJECT = re.compile(r"(\w+) ([0-9-]{10}) (\d{1,9}) (\d{1,18}) ([0-9a-f]*)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Pruned:
    """What remains of a pruned day. It is stored as the subject of the AUDIT_PRUNED event."""

    trail: str
    day: str
    number: int
    length: int
    seal: str

    @classmethod
    def of(cls, head: Head) -> Self:
        return cls(head.trail, str(head.day), head.number, head.length, head.seal)

    @classmethod
    def parse(cls, subject: str) -> Self | None:
        """Return the parsed subject, or None for another form, which only a tampered event has."""
        match = _SUBJECT.fullmatch(subject)
        if match is None:
            return None
        trail, day, number, length, seal = match.groups()
        return cls(trail, day, int(number), int(length), seal)

    def __str__(self) -> str:
        return f"{self.trail} {self.day} {self.number} {self.length} {self.seal}"


def pruned_days(trail: str) -> Iterator[Pruned]:
    events = Event.objects.filter(action=Event.Action.AUDIT_PRUNED, subject__startswith=f"{trail} ")
    for subject in events.values_list("subject", flat=True):
        if (pruned := Pruned.parse(subject)) is not None:
            yield pruned
