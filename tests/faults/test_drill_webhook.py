"""What the fire drill takes for an alert that arrived."""

import httpx

from tests.faults.drill.webhook import receiving


def notification(status: str, *, started: str = "2026-01-01T00:00:00Z") -> dict[str, object]:
    labels = {"alertname": "LesionserveCircuitOpen", "severity": "page", "instance": "a"}
    return {"alerts": [{"status": status, "labels": labels, "startsAt": started}]}


def test_repeated_notification_counts_once():
    with receiving() as webhook:
        for status in ("firing", "firing", "resolved", "resolved"):
            httpx.post(webhook.url, json=notification(status), trust_env=False)
        assert [notice.is_page for notice in webhook.since(0)] == [True, False]


def test_alert_that_fires_again_counts_again():
    with receiving() as webhook:
        for second in ("00", "59"):
            started = f"2026-01-01T00:00:{second}Z"
            body = notification("firing", started=started)
            httpx.post(webhook.url, json=body, trust_env=False)
        assert len(webhook.since(0)) == 2


def test_alert_of_other_severity_is_another_one():
    with receiving() as webhook:
        httpx.post(webhook.url, json=notification("firing"), trust_env=False)
        name = "LesionserveCircuitOpen"
        assert webhook.first(name, "page", True, 0) is not None
        assert webhook.first(name, "ticket", True, 0) is None
        assert webhook.first(name, "page", False, 0) is None
