from django.db.models import Count

from gateway.metrics import last_known
from gateway.monitor.models import WatchAlarm
from gateway.monitor.watch import GROUPS
from gateway.monitor.watch_group import REFERENCES

ALARMS = last_known(
    "lesionserve_gateway_watch_alarms",
    "Alarms of the watch of the model that nobody has acknowledged, over all organisations.",
    ["group", "reference"],
)
LAST_RUN = last_known(
    "lesionserve_gateway_watch_last_run_timestamp_seconds",
    "Until when every watch of a model was last advanced; 0 before the first time.",
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
