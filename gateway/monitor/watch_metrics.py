from django.db.models import Count
from django.utils import timezone

from gateway.metrics import last_known
from gateway.monitor.models import WatchAlarm, WatchState
from gateway.monitor.watch import GROUPS
from gateway.monitor.watch_group import REFERENCES

ALARMS = last_known(
    "lesionserve_gateway_watch_alarms",
    "Alarms of the watch of the model that nobody has acknowledged, over all organisations.",
    ["group", "reference"],
)
BEHIND = last_known(
    "lesionserve_gateway_watch_behind_seconds",
    "The age of the observations up to which the watch of the model has come that is furthest "
    "behind; 0 without a watch.",
)


def refresh_watch_metrics() -> None:
    """Read the metrics of the watch from the database; blocking."""
    open_ = WatchAlarm.objects.filter(acknowledged_at=None).order_by()
    counts = {
        (group, reference): count
        for group, reference, count in open_.values_list("group", "reference").annotate(Count("pk"))
    }
    for group in GROUPS:
        for reference in REFERENCES:
            ALARMS.labels(group, reference).set(counts.get((group, reference), 0))
    oldest = WatchState.objects.order_by("until").values_list("until", flat=True).first()
    BEHIND.set(0 if oldest is None else (timezone.now() - oldest).total_seconds())
