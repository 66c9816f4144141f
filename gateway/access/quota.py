from datetime import UTC, datetime, time, timedelta

from django.db.models import F
from django.utils.translation import gettext_noop

from gateway.access.caller import Caller
from gateway.access.metrics import RATE_LIMITED
from gateway.access.models import DailyUsage
from gateway.errors import TooManyRequests


def take_quota(caller: Caller, now: datetime) -> None:
    """Take one request from the day's quotas of the caller and of its organisation.

    Call it in the transaction that admits the request: the row's lock makes it exact with any
    number of workers. Raise TooManyRequests.
    """
    organisation = caller.organisation
    for subject, quota in (
        (caller.name, caller.requests_per_day),
        (f"organisation:{organisation.pk}", organisation.requests_per_day),
    ):
        if quota is not None and not _take(subject, quota, now):
            RATE_LIMITED["quota"].inc()
            detail = gettext_noop("The quota of this day is used up.")
            raise TooManyRequests(detail, _until_midnight(now))


def _take(subject: str, quota: int, now: datetime) -> bool:
    day = now.astimezone(UTC).date()
    DailyUsage.objects.bulk_create([DailyUsage(subject=subject, day=day)], ignore_conflicts=True)
    left = DailyUsage.objects.filter(subject=subject, day=day, requests__lt=quota)
    return left.update(requests=F("requests") + 1) == 1


def _until_midnight(now: datetime) -> int:
    tomorrow = now.astimezone(UTC).date() + timedelta(days=1)
    return round((datetime.combine(tomorrow, time(), UTC) - now).total_seconds()) + 1
