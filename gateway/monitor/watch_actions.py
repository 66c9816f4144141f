from datetime import timedelta

from django.db import transaction

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event
from gateway.database import database_time
from gateway.monitor.models import WatchAlarm, WatchState


def acknowledge(alarm: WatchAlarm, by: Actor) -> bool:
    """Note that somebody has seen the alarm, so that its test begins anew; blocking.

    Return False where somebody else was first.
    """
    with transaction.atomic():
        state = WatchState.objects.select_for_update().get(
            organisation_id=alarm.organisation_id, bundle_sha256=alarm.bundle_sha256
        )
        # The watch takes it as it takes images: after what it has passed already.
        at = max(database_time(), state.until + timedelta(microseconds=1))
        unseen = WatchAlarm.objects.filter(pk=alarm.pk, acknowledged_at=None)
        if not unseen.update(acknowledged_at=at, acknowledged_by=by.name[:200]):
            return False
        # A watch that is being advanced from before it is discarded, and advanced again.
        state.turn += 1
        state.save(update_fields=["turn"])
        record_event(Event.Action.WATCH_ACKNOWLEDGED, by, alarm.organisation, str(alarm))
        return True
