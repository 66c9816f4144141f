"""How rows name themselves, in the admin, in messages and in a shell."""

from datetime import UTC, date, datetime
from uuid import UUID

import pytest
from django.db.models import Model

from gateway.access.models import ApiKey, DailyUsage
from gateway.audit.chain import Head
from gateway.audit.models import Event, Record
from gateway.monitor.models import (
    Alert,
    Comparison,
    ProbeLease,
    ProbeRun,
    Rollout,
    ServedModel,
)
from gateway.people.models import Organisation
from gateway.predict.models import IdempotentRequest

DAY = date(2026, 11, 26)
NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
CLINIC = Organisation(name="a clinic")


@pytest.mark.parametrize(
    ("row", "name"),
    [
        (ApiKey(id="0123456789ab", name="a viewer"), "a viewer (0123456789ab)"),
        (DailyUsage(subject="key:1", day=DAY, requests=3), "key:1 on 2026-11-26: 3"),
        (Head(trail="events", day=DAY, length=2), "events 2026-11-26: 2 rows"),
        (Record(request_id=UUID(int=1), state="failed"), f"{UUID(int=1)} failed"),
        (Event(action="key.issued", actor="command"), "key.issued by command"),
        (ProbeLease(turn=6, due_at=NOON), "turn 7 is due at 2026-11-26 12:00:00+00:00"),
        (ProbeRun(at=NOON, result="agreed"), "2026-11-26 12:00:00: agreed"),
        (
            Alert(name="LesionserveShedding", started=NOON),
            "LesionserveShedding from 2026-11-26 12:00:00",
        ),
        (
            ServedModel(name="demo", version="2", bundle_sha256="d" * 64),
            "demo 2 (dddddddddddd)",
        ),
        (
            Rollout(mode="canary", candidate_sha256="c" * 64),
            "canary of cccccccccccc: running",
        ),
        (Comparison(request_id=UUID(int=1), rollout_id=3), f"{UUID(int=1)} in rollout 3"),
        (IdempotentRequest(organisation=CLINIC, key_hash="abcdef0123"), "a clinic: abcdef01"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Model) else "",
)
def test_row_has_readable_name(row: Model, name: str):
    assert str(row) == name
