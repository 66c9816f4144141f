from datetime import UTC, date, datetime, timedelta, timezone

import pytest

from gateway.access.caller import Caller
from gateway.access.models import DailyUsage
from gateway.access.quota import take_quota
from gateway.errors import TooManyRequests
from gateway.people.models import Organisation
from tests.clinics import organisation_named

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)


@pytest.fixture
def clinic() -> Organisation:
    return organisation_named("a clinic")


def caller(clinic: Organisation, quota: int | None = None, user: str = "nurse") -> Caller:
    return Caller(clinic, frozenset(), user=user, requests_per_day=quota)


def count_accepted(of: Caller, times: int, now: datetime = NOON) -> int:
    """Return how many of so many requests the quota lets through."""
    count = 0
    for _ in range(times):
        try:
            take_quota(of, now)
        except TooManyRequests:
            continue
        count += 1
    return count


def test_caller_without_quota_is_not_counted(clinic):
    assert count_accepted(caller(clinic), 3) == 3
    assert not DailyUsage.objects.exists()


@pytest.mark.parametrize("quota", [0, 1, 3])
def test_caller_has_its_quota_each_day(clinic, quota: int):
    assert count_accepted(caller(clinic, quota), quota + 2) == quota
    assert count_accepted(caller(clinic, quota), 5, NOON + timedelta(days=1)) == quota


def test_each_caller_has_its_own_quota(clinic):
    assert count_accepted(caller(clinic, 1), 2) == 1
    assert count_accepted(caller(clinic, 1, "another"), 2) == 1


def test_callers_share_quota_of_their_organisation(clinic):
    clinic.requests_per_day = 3
    assert count_accepted(caller(clinic), 2) == 2
    assert count_accepted(caller(clinic, 5, "another"), 2) == 1
    other = organisation_named("another clinic")
    other.requests_per_day = 3
    assert count_accepted(caller(other), 2) == 2


def test_usage_is_counted_by_subject_and_utc_day(clinic):
    clinic.requests_per_day = 9
    late = datetime(2026, 11, 27, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    for now in (NOON, NOON, late):
        take_quota(caller(clinic, 9), now)
    rows = DailyUsage.objects.values_list("subject", "day", "requests").order_by("subject")
    day = date(2026, 11, 26)
    assert list(rows) == [(f"organisation:{clinic.pk}", day, 3), ("user:nurse", day, 3)]


@pytest.mark.parametrize(
    ("now", "seconds"),
    [
        (NOON, 12 * 60 * 60 + 1),
        (datetime(2026, 11, 26, 23, 59, 59, tzinfo=UTC), 2),
        (datetime(2026, 12, 31, 0, 0, tzinfo=UTC), 24 * 60 * 60 + 1),
        (datetime(2026, 11, 27, 1, 0, tzinfo=timezone(timedelta(hours=2))), 60 * 60 + 1),
    ],
)
def test_refusal_says_when_next_day_begins(clinic, now: datetime, seconds: int):
    with pytest.raises(TooManyRequests, match="quota of this day is used up") as refusal:
        take_quota(caller(clinic, 0), now)
    assert refusal.value.retry_after_s == seconds
