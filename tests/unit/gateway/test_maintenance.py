import asyncio
from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone
from prometheus_client import REGISTRY

from gateway import maintenance
from gateway.audit.models import Record

TASKS = (
    "refresh_host_metrics",
    "close_open_records",
    "refresh_audit_metrics",
    "fold",
    "forget_expired",
)


async def test_failing_task_stops_no_other_task(monkeypatch, caplog):
    done: list[str] = []

    def fails() -> None:
        done.append("fails")
        raise OverflowError("whatever it was")

    monkeypatch.setattr(maintenance, "_EVERY_S", 0.01)
    for task in TASKS[:-1]:
        monkeypatch.setattr(maintenance, task, fails)
    monkeypatch.setattr(maintenance, "forget_expired", lambda: done.append("forgets"))
    for name in (
        "note_served_models",
        "prune_runs",
        "prune_alerts",
        "refresh_precision",
        "prune_comparisons",
    ):
        monkeypatch.setattr(maintenance, name, lambda: None)
    # Nothing of this touches the database.
    monkeypatch.setattr(maintenance, "background", call)
    tasks = asyncio.create_task(maintenance.run_maintenance())
    for _ in range(1000):
        if len(done) >= 10:
            break
        await asyncio.sleep(0.01)
    tasks.cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks
    assert done[:10] == ["fails", "fails", "fails", "fails", "forgets"] * 2
    assert "periodic task failed" in caplog.text


async def call(task):
    return task()


@pytest.mark.django_db
def test_record_that_crash_left_open_counts_as_unknown():
    labels = {"outcome": "unknown", "source": "client"}

    def counts() -> tuple[float | None, float | None]:
        return (
            REGISTRY.get_sample_value("lesionserve_gateway_requests_total", labels),
            REGISTRY.get_sample_value("lesionserve_gateway_latency_seconds_count", labels),
        )

    requests, latencies = counts()
    assert requests is not None
    long_ago = timezone.now() - timedelta(hours=1)
    Record.objects.create(request_id=uuid4(), received_at=long_ago)
    maintenance.close_open_records()
    maintenance.close_open_records()
    assert counts() == (requests + 1, latencies), "nobody knows how long it took"
