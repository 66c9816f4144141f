"""Alertmanager's notifications: each episode of an alert becomes a row, and two audited events."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Annotated, Literal

from django.db import transaction
from django.utils import timezone
from pydantic import AwareDatetime, BaseModel, Field, StringConstraints

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event
from gateway.monitor.models import Alert
from pipeline.text import one_line

# The alerts of cluster/monitoring, whose texts hold nothing of a patient: a test reads them. Of any
# other alert only the name and the severity are kept.
OWN = "Lesionserve"

_KEPT = timedelta(days=90)
_MOST_ALERTS = 1000


class Labels(BaseModel):
    """The labels that are read; all others are dropped."""

    alertname: Annotated[str, StringConstraints(min_length=1)]
    severity: str = ""


class Annotations(BaseModel):
    summary: str = ""


class FiredAlert(BaseModel):
    """An alert of a notification, as Alertmanager sends it."""

    status: Literal["firing", "resolved"]
    labels: Labels
    annotations: Annotations = Annotations()
    started: AwareDatetime = Field(alias="startsAt")
    ended: AwareDatetime = Field(alias="endsAt")
    fingerprint: str = Field(pattern="^[0-9a-f]{16}$")

    @property
    def name(self) -> str:
        return one_line(self.labels.alertname, 100)

    @property
    def severity(self) -> str:
        return one_line(self.labels.severity, 32)

    @property
    def summary(self) -> str:
        return one_line(self.annotations.summary, 300) if self.name.startswith(OWN) else ""


class Notification(BaseModel):
    """The body of Alertmanager's webhook, version 4. Other fields of it are dropped."""

    version: Literal["4"]
    alerts: list[FiredAlert] = Field(max_length=_MOST_ALERTS)


def keep_alerts(notification: Notification, by: Actor) -> None:
    """Commit what a notification says; blocking. Sent again, it changes only when it was seen."""
    with transaction.atomic():
        for alert in notification.alerts:
            for action, row in _keep(alert, timezone.now()):
                started = row.started.isoformat(timespec="seconds")
                record_event(action, by, subject=f"alert:{row.name} {row.fingerprint} {started}")


def _keep(alert: FiredAlert, now: datetime) -> Iterator[tuple[Event.Action, Alert]]:
    """Store an alert, and yield each event that it is the first to tell of."""
    of_this_alert = Alert.objects.filter(fingerprint=alert.fingerprint)
    row, is_new = Alert.objects.get_or_create(
        fingerprint=alert.fingerprint,
        started=alert.started,
        defaults={"name": alert.name, "severity": alert.severity, "summary": alert.summary},
    )
    if is_new:
        # That an earlier episode ended was not told, or was lost on the way.
        for earlier in of_this_alert.filter(started__lt=alert.started, resolved=None):
            if _resolve(earlier, alert.started):
                yield Event.Action.ALERT_RESOLVED, earlier
        yield Event.Action.ALERT_FIRED, row
    else:
        of_this_alert.filter(pk=row.pk, last_seen__lt=now).update(last_seen=now)
    if alert.status == "resolved" and _resolve(row, alert.ended):
        yield Event.Action.ALERT_RESOLVED, row


def _resolve(row: Alert, at: datetime) -> bool:
    """Set when an episode ended. Return False if that was set before."""
    return Alert.objects.filter(pk=row.pk, resolved=None).update(resolved=at) == 1


def prune_alerts() -> None:
    """Delete alerts of which nothing was heard for 90 days; blocking. Their events stay."""
    Alert.objects.filter(last_seen__lt=timezone.now() - _KEPT).delete()
