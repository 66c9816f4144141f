"""Rows of the versions before organisations, and before heads had proofs."""

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from gateway.access.models import ApiKey
from gateway.audit.chain import Head, proof_of
from gateway.audit.models import Record
from gateway.people.models import Organisation

pytestmark = pytest.mark.django_db(transaction=True)


def migrate(targets: list[tuple[str, str]]) -> Any:
    """Migrate the database, and return the models of then."""
    executor = MigrationExecutor(connection)
    executor.migrate(targets)
    return executor.loader.project_state(targets).apps


@pytest.fixture
def back_to() -> Iterator[Callable[[list[tuple[str, str]]], Any]]:
    """Return to an earlier version of the database, until the test ends."""
    yield migrate
    migrate(latest())


def latest() -> list[tuple[str, str]]:
    return MigrationExecutor(connection).loader.graph.leaf_nodes()


def test_keys_without_organisation_join_default_organisation(back_to):
    before = back_to(
        [("keys", "0002_organisations_and_scopes"), ("usage", "0002_seals_events_and_tallies")]
    )
    before.get_model("keys", "ApiKey").objects.create(id="0" * 12, name="a viewer")
    id_ = uuid4()
    before.get_model("usage", "Record").objects.create(request_id=id_, key_id="0" * 12)
    migrate(latest())
    assert ApiKey.objects.get().organisation.name == "default"
    assert Record.objects.get(request_id=id_).organisation.name == "default"


def test_migration_without_keys_adds_no_organisation(back_to):
    back_to([("keys", "0002_organisations_and_scopes")])
    migrate(latest())
    assert not Organisation.objects.exists()


def test_migrated_heads_get_numbers_by_day_and_proofs(back_to):
    before = back_to([("usage", "0003_records_of_the_keys_organisations")])
    heads = before.get_model("usage", "Head").objects
    for trail, day in (("requests", 3), ("requests", 1), ("events", 2)):
        heads.create(trail=trail, day=date(2026, 1, day), length=day, seal="0" * 64)
    migrate(latest())
    rows = Head.objects.order_by("trail", "day")
    assert [(head.trail, head.day.day, head.number) for head in rows] == [
        ("events", 2, 1),
        ("requests", 1, 1),
        ("requests", 3, 2),
    ]
    assert all(head.proof == proof_of(head) for head in rows)
