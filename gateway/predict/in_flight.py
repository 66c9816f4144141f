from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import floor

from django.conf import settings

from gateway.people.models import Organisation
from pipeline.errors import Overloaded

# The share of the slots that one organisation may hold.
_SHARE = 3 / 4


class InFlightLimit:
    """A limit of MAX_IN_FLIGHT images in memory at once; three quarters for one organisation."""

    def __init__(self) -> None:
        self._held: Counter[int] = Counter()  # held slots, by organisation

    @contextmanager
    def acquire(self, organisation: Organisation) -> Iterator[None]:
        """Hold one slot. Raise Overloaded at once where none is free."""
        own, slots = organisation.pk, settings.MAX_IN_FLIGHT
        if self._held.total() >= slots or self._held[own] >= max(1, floor(slots * _SHARE)):
            raise Overloaded("The gateway is at capacity; try again.")
        self._held[own] += 1
        try:
            yield
        finally:
            self._held[own] -= 1
