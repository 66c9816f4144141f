from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone
from pydantic import ValidationError

from gateway.audit.events import Actor
from gateway.audit.models import Event
from gateway.monitor.alerts import Notification, keep_alerts, prune_alerts
from gateway.monitor.models import Alert

pytestmark = pytest.mark.django_db

BEGUN = "2026-11-26T08:00:00.123456789Z"
ZERO = "0001-01-01T00:00:00Z"  # of an alert that still fires
ALERTMANAGER = Actor("alertmanager", "192.0.2.7")


def alert(**changes: Any) -> dict[str, Any]:
    """Return an alert as Alertmanager 0.25 sends it."""
    return {
        "status": "firing",
        "labels": {"alertname": "LesionserveProbeFailing", "severity": "page", "job": "gateway"},
        "annotations": {"summary": "Probes fail", "runbook_url": "docs/runbooks.md#x"},
        "startsAt": BEGUN,
        "endsAt": ZERO,
        "generatorURL": "http://prometheus.example/graph",
        "fingerprint": "0123456789abcdef",
    } | changes


def notification(*alerts: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "version": "4",
        "groupKey": '{}:{alertname="LesionserveProbeFailing"}',
        "truncatedAlerts": 0,
        "status": "firing",
        "receiver": "gateway",
        "groupLabels": {"alertname": "LesionserveProbeFailing"},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example",
        "alerts": list(alerts),
    } | changes


def keep(*alerts: dict[str, Any]) -> None:
    keep_alerts(Notification.model_validate(notification(*alerts)), ALERTMANAGER)


def resolved(minutes: int = 5, **changes: Any) -> dict[str, Any]:
    return alert(status="resolved", endsAt=f"2026-11-26T08:{minutes:02}:00Z", **changes)


def told() -> list[tuple[str, str]]:
    """Return action and fingerprint of each event about alerts, in order."""
    rows = Event.objects.filter(action__startswith="alert.").order_by("pk")
    return [(row.action, row.subject.split()[1][:4]) for row in rows]


def test_firing_alert_is_kept_with_allowed_fields_only():
    before = timezone.now()
    keep(alert())
    row = Alert.objects.get()
    assert (row.name, row.severity) == ("LesionserveProbeFailing", "page")
    assert (row.fingerprint, row.summary) == ("0123456789abcdef", "Probes fail")
    assert row.started == datetime(2026, 11, 26, 8, 0, 0, 123456, tzinfo=UTC)
    assert row.resolved is None
    assert row.last_seen >= before
    event = Event.objects.get()
    assert (event.actor, event.address, event.organisation) == ("alertmanager", "192.0.2.7", None)
    assert event.subject == (
        "alert:LesionserveProbeFailing 0123456789abcdef 2026-11-26T08:00:00+00:00"
    )


def test_episode_sent_again_is_kept_once():
    for _ in range(3):
        keep(alert())
    for _ in range(2):
        keep(resolved())
    assert Alert.objects.get().resolved == datetime(2026, 11, 26, 8, 5, tzinfo=UTC)
    assert told() == [("alert.fired", "0123"), ("alert.resolved", "0123")]
    call_command("verify_audit", stdout=StringIO())
    call_command("export_audit", "--format", "atna", stdout=StringIO())


def test_alert_seen_again_has_new_time_of_sight():
    keep(alert())
    Alert.objects.update(last_seen=timezone.now() - timedelta(hours=4))
    keep(alert())
    assert timezone.now() - Alert.objects.get().last_seen < timedelta(minutes=1)


def test_late_firing_opens_no_resolved_episode():
    keep(alert())
    keep(resolved())
    keep(alert())
    assert Alert.objects.get().resolved is not None
    assert len(told()) == 2


def test_resolution_of_unknown_alert_is_whole_episode():
    keep(resolved())
    assert Alert.objects.get().resolved is not None
    assert [action for action, _ in told()] == ["alert.fired", "alert.resolved"]


def test_next_episode_resolves_one_whose_end_was_lost():
    keep(alert())
    keep(alert(startsAt="2026-11-26T09:00:00Z"))
    first, second = Alert.objects.order_by("started")
    assert (first.resolved, second.resolved) == (second.started, None)
    assert [action for action, _ in told()] == ["alert.fired", "alert.resolved", "alert.fired"]


def test_alerts_of_one_notification_are_apart():
    keep(alert(), resolved(fingerprint="f" * 16))
    assert Alert.objects.filter(resolved=None).count() == 1
    assert sorted(told()) == [
        ("alert.fired", "0123"),
        ("alert.fired", "ffff"),
        ("alert.resolved", "ffff"),
    ]


def test_summary_of_foreign_alert_is_dropped():
    labels = {"alertname": "PatientNotFound", "severity": "page", "patient": "Jane Doe"}
    keep(alert(labels=labels, annotations={"summary": "Jane Doe, 1970-01-01"}))
    row = Alert.objects.get()
    assert (row.name, row.summary) == ("PatientNotFound", "")
    stored = [*Alert.objects.values().get().values(), *Event.objects.values().get().values()]
    assert not any("Jane" in str(value) for value in stored)


def test_texts_are_bounded_lines():
    labels = {"alertname": "Lesionserve" + "n" * 500, "severity": "s\n" * 100}
    keep(alert(labels=labels, annotations={"summary": "a\x00b\x1b[2J" * 300}))
    row = Alert.objects.get()
    assert (len(row.name), len(row.severity), len(row.summary)) == (100, 32, 300)
    assert (row.name + row.severity + row.summary).isprintable()


@pytest.mark.parametrize(
    "change",
    [
        {"version": "3"},
        {"version": 4},
        {"alerts": None},
        {"alerts": [{}]},
        {"alerts": [alert(status="pending")]},
        {"alerts": [alert(labels={"severity": "page"})]},
        {"alerts": [alert(labels={"alertname": ""})]},
        {"alerts": [alert(labels=[])]},
        {"alerts": [alert(startsAt="yesterday")]},
        {"alerts": [alert(startsAt="2026-11-26T08:00:00")]},
        {"alerts": [alert(fingerprint="../etc")]},
        {"alerts": [alert()] * 1001},
    ],
    ids=lambda change: str(change)[:40],
)
def test_other_than_notification_is_refused(change):
    with pytest.raises(ValidationError):
        Notification.model_validate(notification(alert()) | change)


def test_alerts_are_kept_for_ninety_days_after_last_sight():
    keep(alert(), alert(fingerprint="f" * 16))
    for fingerprint, days in (("0123456789abcdef", 91), ("f" * 16, 89)):
        seen = timezone.now() - timedelta(days=days)
        Alert.objects.filter(fingerprint=fingerprint).update(last_seen=seen)
    prune_alerts()
    assert Alert.objects.get().fingerprint == "f" * 16
