"""A database of an earlier version, migrated: its sealed rows stay what they were."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from gateway.audit.chain import proof_of, today
from gateway.audit.models import Record
from pipeline.schemas import PredictOptions

pytestmark = pytest.mark.django_db(transaction=True)

BEFORE = [("usage", "0004_proofs_of_the_heads")]


@pytest.fixture
def before() -> Iterator[Any]:
    """The models of the usage app before records had options, identity and correlation id."""
    executor = MigrationExecutor(connection)
    newest = executor.loader.graph.leaf_nodes()
    executor.migrate(BEFORE)
    yield executor.loader.project_state(BEFORE).apps
    MigrationExecutor(connection).migrate(newest)


def plain(value: Any) -> str:
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


def sealed(row: Any, previous: str) -> str:
    """As that version sealed a row: every field that it had."""
    fields = [field for field in row._meta.concrete_fields if field.attname not in ("id", "seal")]
    values = {field.attname: getattr(row, field.attname) for field in fields}
    content = json.dumps(values, sort_keys=True, separators=(",", ":"), default=plain).encode()
    message = previous.encode() + b"\n" + content
    return hmac.new(settings.AUDIT_KEY.encode(), message, hashlib.sha256).hexdigest()


def old_trail(apps: Any) -> list[UUID]:
    """A day of three sealed requests, and one that is still open."""
    model, head_model = (apps.get_model("usage", name) for name in ("Record", "Head"))
    head = head_model(trail="requests", day=today(), number=1)
    ids = [uuid4() for _ in range(3)]
    for position, id_ in enumerate(ids, 1):
        row = model(request_id=id_, state="succeeded", status=200, day=head.day, position=position)
        row.finished_at, row.latency_ms, row.class_counts = row.received_at, 12.5, {"LSIL": 1}
        row.model_name, row.detection_count = "demo", 1
        row.seal = head.seal = sealed(row, head.seal)
        row.save()
    head.length = len(ids)
    head.proof = proof_of(head)
    head.save()
    model.objects.create(request_id=uuid4(), received_at=datetime(2026, 1, 1, tzinfo=UTC))
    return ids


def migrate() -> None:
    executor = MigrationExecutor(connection)
    executor.migrate(executor.loader.graph.leaf_nodes())


def verify() -> str:
    out = StringIO()
    call_command("verify_audit", stdout=out, stderr=StringIO())
    return out.getvalue()


def test_previous_version_works_after_migration(before):
    ids = old_trail(before)
    migrate()
    model, head_model = (before.get_model("usage", name) for name in ("Record", "Head"))
    head = head_model.objects.get(trail="requests")
    row = model(request_id=uuid4(), state="succeeded", status=200, day=head.day)
    row.position = head.length = len(ids) + 1
    row.seal = head.seal = sealed(row, head.seal)
    row.save()
    head.proof = proof_of(head)
    head.save()
    assert ": 4 rows" in verify()


def test_migrated_rows_keep_seals_and_day_continues(before):
    old_trail(before)
    migrate()
    assert ": 3 rows" in verify()
    call_command("sweep_audit", stdout=StringIO())
    new = Record(request_id=uuid4(), state="succeeded", status=200, correlation_id="case-7")
    new.set_options(PredictOptions(score_threshold=0.9))
    assert Record.objects.close(new)
    assert ": 5 rows" in verify()
    Record.objects.filter(pk=new.pk).update(correlation_id="case-8")
    with pytest.raises(CommandError, match="not intact"):
        verify()


@pytest.mark.parametrize(
    "change",
    [
        {"correlation_id": "case-7"},
        {"source": "probe"},
        {"model_engine": "portable"},
        {"model_precision": "int8"},
        {"bundle_sha256": "d" * 64},
        {"options": PredictOptions().model_dump()},
        {"below_threshold": 0},
        {"image_sha256": "e" * 64},
        {"model_score_threshold": 0.5},
        {"model_software": {"numpy": "2.4.0"}},
        {"model_name": "another"},
    ],
    ids=str,
)
def test_change_of_migrated_row_is_found(before, change):
    ids = old_trail(before)
    migrate()
    verify()
    Record.objects.filter(request_id=ids[1]).update(**change)
    with pytest.raises(CommandError, match="not intact"):
        verify()
