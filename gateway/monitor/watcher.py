"""Advance the watches with the stored observations; every function is blocking.

Of several processes that do so at once, one commits its result, and the others discard theirs.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from django.conf import settings
from django.db import transaction
from django.db.models import Exists, Max, OuterRef, QuerySet

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event
from gateway.monitor.models import ReferenceProfile, WatchAlarm, WatchState
from gateway.monitor.stored_profiles import stored_profile
from gateway.monitor.verdict import verdict
from gateway.monitor.watch import Acknowledgement, RaisedAlarm, Watch
from gateway.monitor.watch_examination import Examination, ObservedImage
from gateway.monitor.watch_metrics import LAST_RUN
from gateway.usage.models import Observation
from gateway.usage.observations import expired_before, settled_until, sketch_days

# Observations in one step: fewer than a second's work, after which it is committed.
_STEP = 1000
# How far back new watches are looked for; more than a run takes.
_DAY = timedelta(days=1)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

_WATCH = Actor("watch")

logger = structlog.stdlib.get_logger(__name__)


def run_watches() -> None:
    """Bring each watch up to the newest observations that are settled, and keep its verdicts."""
    until = settled_until()
    _begin_watches(until)
    is_complete = True
    for state in WatchState.objects.filter(until__lt=until):
        try:
            while _advance(state, until):
                pass
        except Exception:
            # After any error the other watches go on, and this one is tried again.
            logger.exception("a watch cannot be advanced", watch=str(state))
            is_complete = False
    if is_complete:
        LAST_RUN.set(until.timestamp())


def _begin_watches(until: datetime) -> None:
    """Make the states of organisations and models that are observed for the first time."""
    newest = WatchState.objects.aggregate(newest=Max("until"))["newest"]
    since = _BEGINNING if newest is None else newest - _DAY
    observed = Observation.objects.filter(at__gt=since, at__lte=until).order_by()
    known = set(WatchState.objects.values_list("organisation_id", "bundle_sha256"))
    for organisation_id, digest in observed.values_list("organisation", "bundle_sha256").distinct():
        if (organisation_id, digest) in known:
            continue
        # A model whose profile was not read yet waits: a watch compares with one all its life.
        if ReferenceProfile.objects.filter(bundle_sha256=digest).exists():
            state = WatchState(
                organisation_id=organisation_id,
                bundle_sha256=digest,
                alpha=settings.WATCH_ALPHA,
                until=_BEGINNING,
                base_until=_BEGINNING,
            )
            WatchState.objects.bulk_create([state], ignore_conflicts=True)


def _advance(state: WatchState, until: datetime) -> bool:
    """Take one step. Return whether more observations are left, and this process may go on."""
    rows = list(_observations(state).filter(at__gt=state.until, at__lte=until)[: _STEP + 1])
    acknowledged = acknowledgements(state, state.until, until)
    if not rows and not acknowledged and not _is_due(state, until):
        return False  # nothing to write, for a model that nobody asks
    is_more = len(rows) > _STEP
    if is_more:
        # All images of one time are taken together; those of the last time come in the next step.
        last = rows[-1].at
        rows = [row for row in rows if row.at < last]
        until = rows[-1].at
        acknowledged = [seen for seen in acknowledged if seen.at <= until]
    profile = stored_profile(state.bundle_sha256)
    watch = Watch.from_json(state.state, profile, state.alpha)
    raised = watch.advance(images_of(rows), until, acknowledged)
    changed = {"state": watch.to_json(), "until": until, "turn": state.turn + 1}
    alarms = [verdict(state, profile, watch.threshold, alarm) for alarm in raised]
    with transaction.atomic():
        unchanged = WatchState.objects.filter(pk=state.pk, turn=state.turn)
        if not unchanged.update(**changed):
            return False
        for alarm in alarms:
            alarm.save(force_insert=True)
            record_event(Event.Action.WATCH_ALARMED, _WATCH, state.organisation, str(alarm))
    for name, value in changed.items():
        setattr(state, name, value)
    return is_more


def _is_due(state: WatchState, until: datetime) -> bool:
    """Return whether an examination that was open has ended by then."""
    open_ = map(Examination.from_json, state.state.get("open", {}).values())
    return any(examination.ends_at <= until for examination in open_)


def _observations(state: WatchState) -> QuerySet[Observation]:
    of_watch = Observation.objects.filter(
        organisation_id=state.organisation_id, bundle_sha256=state.bundle_sha256
    )
    return of_watch.order_by("at", "request_id")


def images_of(rows: Iterable[Observation]) -> Iterator[ObservedImage]:
    for row in rows:
        yield ObservedImage(str(row.request_id), row.at, row.examination, row.values)


def acknowledgements(state: WatchState, after: datetime, until: datetime) -> list[Acknowledgement]:
    alarms = WatchAlarm.objects.filter(
        organisation_id=state.organisation_id,
        bundle_sha256=state.bundle_sha256,
        acknowledged_at__gt=after,
        acknowledged_at__lte=until,
    ).order_by("acknowledged_at", "pk")
    return [
        Acknowledgement(alarm.acknowledged_at, alarm.group, alarm.reference)  # type: ignore[arg-type]
        for alarm in alarms
    ]


def prune_observations() -> None:
    """Delete the observations whose retention has ended, once a day; blocking.

    What follows from them for a watch is kept as its base, so that its later verdicts can still be
    computed again.
    """
    before = expired_before()
    if not Observation.objects.filter(at__lte=before).exists():
        return
    sketch_days()
    for state in WatchState.objects.filter(base_until__lt=before):
        _rebase(state, before)
    watched = WatchState.objects.filter(
        organisation=OuterRef("organisation"), bundle_sha256=OuterRef("bundle_sha256")
    )
    Observation.objects.filter(~Exists(watched), at__lte=before).delete()


def _rebase(state: WatchState, before: datetime) -> None:
    expired = _observations(state).filter(at__lte=before)
    if expired.filter(at__gt=state.until).exists():
        return  # the watch has not taken them yet
    base, _ = replay(state, before)
    with transaction.atomic():
        unchanged = WatchState.objects.filter(pk=state.pk, base_until=state.base_until)
        if unchanged.update(base=base.to_json(), base_until=before):
            expired.delete()


def replay(state: WatchState, until: datetime) -> tuple[Watch, list[RaisedAlarm]]:
    """Compute a watch again from its base, and the alarms that it raised since."""
    watch = Watch.from_json(state.base, stored_profile(state.bundle_sha256), state.alpha)
    rows = _observations(state).filter(at__gt=state.base_until, at__lte=until)
    acknowledged = acknowledgements(state, state.base_until, until)
    alarms = watch.advance(images_of(rows.iterator(chunk_size=2000)), until, acknowledged)
    return watch, alarms


def unlike_stored(state: WatchState, watch: Watch, alarms: Sequence[RaisedAlarm]) -> list[str]:
    """Return how a watch that was computed again differs from the stored one; nothing if it is the
    same.
    """
    faults = []
    if watch.to_json() != state.state:
        faults.append("the evidence differs")
    stored = WatchAlarm.objects.filter(
        organisation_id=state.organisation_id,
        bundle_sha256=state.bundle_sha256,
        at__gt=state.base_until,
        at__lte=state.until,
    )
    fields = ("group", "reference", "at", "since", "evidence", "statistic", "is_higher")
    expected = sorted(stored.values_list(*fields))
    computed = sorted(tuple(getattr(alarm, name) for name in fields) for alarm in alarms)
    if computed != expected:
        faults.append(f"{len(computed)} alarms instead of {len(expected)}, or others")
    return faults
