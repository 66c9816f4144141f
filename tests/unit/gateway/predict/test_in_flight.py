from contextlib import ExitStack

import pytest

from gateway.people.models import Organisation
from gateway.predict.in_flight import InFlightLimit
from pipeline.errors import Overloaded

OURS, THEIRS = Organisation(pk=1), Organisation(pk=2)


@pytest.mark.parametrize(("number", "share"), [(1, 1), (2, 1), (3, 2), (4, 3), (7, 5), (64, 48)])
def test_organisation_has_at_most_three_quarters_of_slots(settings, number, share):
    settings.MAX_IN_FLIGHT = number
    limit = InFlightLimit()
    with ExitStack() as slots:
        for _ in range(share):
            slots.enter_context(limit.acquire(OURS))
        with pytest.raises(Overloaded), limit.acquire(OURS):
            pass
        for _ in range(number - share):
            slots.enter_context(limit.acquire(THEIRS))
        with pytest.raises(Overloaded), limit.acquire(THEIRS):
            pass
    with limit.acquire(THEIRS):
        pass
