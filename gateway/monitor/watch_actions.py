from django.db import transaction
from django.utils import timezone

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event
from gateway.monitor.models import WatchAlarm


def acknowledge(alarm: WatchAlarm, by: Actor) -> bool:
    """Note that somebody has seen the alarm, so that its test begins anew; blocking.

    Return False where somebody else was first.
    """
    with transaction.atomic():
        unseen = WatchAlarm.objects.filter(pk=alarm.pk, acknowledged_at=None)
        if not unseen.update(acknowledged_at=timezone.now(), acknowledged_by=by.name[:200]):
            return False
        record_event(Event.Action.WATCH_ACKNOWLEDGED, by, alarm.organisation, str(alarm))
        return True
