from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from math import floor

from django.conf import settings

from gateway.people.models import Organisation
from pipeline.errors import Overloaded

# What one organisation may take of it.
_SHARE = 3 / 4


class Room:
    """For the images that are held in memory at once: MAX_IN_FLIGHT of them."""

    def __init__(self) -> None:
        self._taken: Counter[int] = Counter()  # by organisation

    @contextmanager
    def taken(self, organisation: Organisation) -> Iterator[None]:
        """By one request. Raises Overloaded at once rather than let anybody wait."""
        own, number = organisation.pk, settings.MAX_IN_FLIGHT
        if self._taken.total() >= number or self._taken[own] >= max(1, floor(number * _SHARE)):
            raise Overloaded("The gateway has no room for the request now; try again.")
        self._taken[own] += 1
        try:
            yield
        finally:
            self._taken[own] -= 1
