"""What an alarm of the watch means in numbers: what was usual, what is now, and examples."""

from collections.abc import Sequence

import numpy as np
from django.db.models import QuerySet

from gateway.monitor.models import WatchAlarm, WatchState
from gateway.monitor.profile import Profile
from gateway.monitor.watch import RaisedAlarm
from gateway.usage.models import Observation

_SHARES = (0.05, 0.5, 0.95)
_EXAMPLES = 3
# Of the images before the change, and since: the newest ones. More would say the same.
_MOST_IMAGES = 1000


def verdict(
    state: WatchState, profile: Profile | None, threshold: float, alarm: RaisedAlarm
) -> WatchAlarm:
    """Return the row of an alarm, which is not saved yet; blocking."""
    since = _values(_images(state).filter(at__gt=alarm.since, at__lte=alarm.at), alarm)
    values = [value for value, _, _ in since]
    return WatchAlarm(
        organisation=state.organisation,
        bundle_sha256=state.bundle_sha256,
        group=alarm.group,
        reference=alarm.reference,
        at=alarm.at,
        since=alarm.since,
        evidence=alarm.evidence,
        threshold=threshold,
        statistic=alarm.statistic,
        is_higher=alarm.is_higher,
        usual=_usual(state, profile, alarm),
        now=float(np.median(values)) if values else None,
        examples=_examples(since, is_higher=alarm.is_higher),
    )


def _images(state: WatchState) -> QuerySet[Observation]:
    of_watch = Observation.objects.filter(
        organisation_id=state.organisation_id, bundle_sha256=state.bundle_sha256
    )
    return of_watch.order_by("-at", "-request_id")


def _values(rows: QuerySet[Observation], alarm: RaisedAlarm) -> list[tuple[float, str, str]]:
    """Return the statistic of each image that has it, with its examination and request id."""
    return [
        (row.values[alarm.group][alarm.statistic], row.examination, str(row.request_id))
        for row in rows[:_MOST_IMAGES]
        if alarm.statistic in row.values.get(alarm.group, {})
    ]


def _usual(state: WatchState, profile: Profile | None, alarm: RaisedAlarm) -> list[float] | None:
    if alarm.reference == "earlier":
        before = _values(_images(state).filter(at__lte=alarm.since), alarm)
        return quantiles([value for value, _, _ in before])
    assert profile is not None, "it was compared with the profile"
    known = profile.per_image[alarm.group][alarm.statistic].quantiles
    return quantiles(known)


def quantiles(values: Sequence[float]) -> list[float] | None:
    """Return the values that 5, 50 and 95 % of them do not exceed; None without values."""
    return np.quantile(values, _SHARES).tolist() if values else None


def _examples(values: Sequence[tuple[float, str, str]], *, is_higher: bool) -> list[str]:
    """Return the images that show the change most, of different examinations where it can be."""
    ordered = sorted(values, key=lambda row: (-row[0] if is_higher else row[0], row[2]))
    by_examination: dict[str, str] = {}
    for _, examination, request_id in ordered:
        by_examination.setdefault(examination, request_id)
    return list(by_examination.values())[:_EXAMPLES]
