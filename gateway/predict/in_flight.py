from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import floor

from django.conf import settings

from gateway.people.models import Organisation
from pipeline.errors import Overloaded

# The part of the slots that one organisation may hold.
_SHARE = 3 / 4


class InFlightLimit:
    """Bound the images that are held in memory at once to MAX_IN_FLIGHT."""

    def __init__(self) -> None:
        self._held: Counter[int] = Counter()  # by organisation

    @contextmanager
    def acquire(self, organisation: Organisation) -> Iterator[None]:
        """Hold one slot. Raise Overloaded at once where none is free, rather than wait for one."""
        own, slots = organisation.pk, settings.MAX_IN_FLIGHT
        if self._held.total() >= slots or self._held[own] >= max(1, floor(slots * _SHARE)):
            raise Overloaded("The gateway has no room for the request now; try again.")
        self._held[own] += 1
        try:
            yield
        finally:
            self._held[own] -= 1
