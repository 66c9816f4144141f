from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from gateway.usage.chain import Head
from gateway.usage.models import Event

ACTION = "audit.pruned"


@dataclass(frozen=True, slots=True)
class Pruned:
    """What the trail says of a day that it no longer has: the subject of an event."""

    trail: str
    day: str
    number: int
    length: int
    seal: str

    @classmethod
    def of(cls, head: Head) -> Self:
        return cls(head.trail, str(head.day), head.number, head.length, head.seal)

    def __str__(self) -> str:
        return f"{self.trail} {self.day} {self.number} {self.length} {self.seal}"


def pruned_days(trail: str) -> Iterator[Pruned]:
    events = Event.objects.filter(action=ACTION, subject__startswith=f"{trail} ")
    for subject in events.values_list("subject", flat=True):
        _, day, number, length, seal = subject.split()
        yield Pruned(trail, day, int(number), int(length), seal)
