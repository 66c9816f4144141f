from datetime import timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from gateway.audit.events import COMMAND, Actor, record_event
from gateway.audit.models import Event, Record, Source, State
from gateway.monitor import status
from gateway.monitor.models import Alert, ProbeRun, ServedModel
from gateway.monitor.status import Change, Objective
from gateway.people.models import Organisation
from tests.clinics import issue_key, organisation_named, revoke_key

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def close(state: str, hours: float = 0, **values: object) -> None:
    values.setdefault("organisation", organisation_named("a clinic"))
    record = Record(request_id=uuid4(), state=state, key_id="0" * 12, **values)
    record.received_at = record.finished_at = NOW - timedelta(hours=hours)
    Record.objects.close(record)


def periods() -> dict[str, tuple[int, int]]:
    return {each.period: (each.valid, each.bad) for each in status.objectives(NOW)}


def test_objective_counts_valid_requests_of_each_period():
    for state in State.values[1:]:
        close(state)
    close(State.FAILED, hours=2)
    close(State.SUCCEEDED, hours=23)
    close(State.SUCCEEDED, hours=25)
    assert periods() == {"1 h": (3, 2), "24 h": (5, 3), "30 d": (6, 3)}


def test_probes_are_in_no_objective():
    close(State.SUCCEEDED)
    close(State.FAILED, source=Source.PROBE)
    assert set(periods().values()) == {(1, 0)}


def test_nothing_is_left_of_no_requests():
    assert set(periods().values()) == {(0, 0)}
    assert [each.share for each in status.objectives()] == [None] * 3


@pytest.mark.parametrize(
    ("valid", "bad", "share", "left"),
    [
        (1000, 0, 1.0, 1.0),
        (1000, 1, 0.999, 0.8),
        (1000, 5, 0.995, 0.0),
        (1000, 10, 0.99, -1.0),
        (1, 1, 0.0, -199.0),
        (0, 0, None, 1.0),
    ],
)
def test_budget_is_share_of_allowed_failures(valid, bad, share, left):
    objective = Objective("1 h", valid, bad)
    assert objective.share == (None if share is None else pytest.approx(share))
    assert objective.budget_left == pytest.approx(left)


def test_probes_are_shown_newest_first_with_state():
    runs = [ProbeRun.objects.create(result=result) for result in ("agreed", "failed", "failed")]
    shown = status.probes(2)
    assert shown.runs == runs[:0:-1]
    assert (shown.state.failures_in_a_row, shown.state.success) == (2, runs[0])


def alert(name: str, severity: str = "page", **values: object) -> Alert:
    return Alert.objects.create(name=name, severity=severity, started=NOW, **values)


def test_open_alerts_are_those_that_fire():
    alert("LesionserveWatchdog", severity="none", fingerprint="0" * 16)
    over = alert("LesionserveShedding", fingerprint="1" * 16, resolved=NOW)
    fires = alert("LesionserveProbeFailing", fingerprint="2" * 16)
    assert status.open_alerts() == [fires]
    assert status.last_alerts() == [fires, over]
    assert status.last_alerts(1) == [fires]


def test_changes_are_models_keys_and_people_newest_first():
    key, _ = issue_key("a viewer", "a clinic")
    record_event(Event.Action.USAGE_READ, COMMAND)
    revoke_key(key)
    record_event(Event.Action.PERSON_ADDED, Actor("user:root"), subject="user:jane")
    model = ServedModel.objects.create(
        bundle_sha256="d" * 64, name="demo", version="2", first_seen=NOW, last_seen=NOW
    )
    ServedModel.objects.create(
        bundle_sha256="e" * 64,
        first_seen=NOW - timedelta(days=32),
        last_seen=NOW - timedelta(days=31),
    )
    changes = status.changes()
    assert changes[-1] == Change(NOW, "model.served", str(model))
    assert [(change.what, change.subject, change.by) for change in changes[:-1]] == [
        ("person.added", "user:jane", "user:root"),
        ("key.revoked", f"key:{key.id}", "command"),
        ("key.issued", f"key:{key.id}", "command"),
        ("organisation.added", f"organisation:{Organisation.objects.get()}", "command"),
    ]
    assert status.changes(2) == changes[:2]
