"""Each action changes a key and writes its event, both or neither."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.db import OperationalError

from gateway.access.actions import issue, revoke, rotate
from gateway.access.models import ApiKey
from gateway.audit.chain import Head
from gateway.audit.events import Actor
from gateway.audit.models import Event
from tests.clinics import issue_key, organisation_named

pytestmark = pytest.mark.django_db

OPERATOR = Actor("user:an operator", "192.0.2.1")
WEEK = timedelta(days=7)


def events() -> list[tuple[str, str, str | None, str, str]]:
    """Return what the trail says of keys: action, actor, address, organisation and subject."""
    rows = Event.objects.filter(action__startswith="key.").order_by("pk")
    return [
        (row.action, row.actor, row.address, str(row.organisation), row.subject) for row in rows
    ]


def test_each_action_writes_one_event_by_its_actor():
    key, _ = issue("a viewer", organisation_named("a clinic"), by=OPERATOR)
    new, _ = rotate(key, WEEK, by=OPERATOR)
    revoke(new, by=OPERATOR)
    who = ("user:an operator", "192.0.2.1", "a clinic")
    assert events() == [
        ("key.issued", *who, f"key:{key.id}"),
        ("key.rotated", *who, f"key:{new.id}"),
        ("key.revoked", *who, f"key:{new.id}"),
    ]


@pytest.mark.parametrize(
    "action",
    [
        lambda key: issue("another", key.organisation, by=OPERATOR),
        lambda key: rotate(key, WEEK, by=OPERATOR),
        lambda key: revoke(key, by=OPERATOR),
    ],
    ids=["issue", "rotate", "revoke"],
)
def test_key_is_unchanged_if_event_cannot_be_written(
    action: Callable[[ApiKey], object], monkeypatch: pytest.MonkeyPatch
):
    def fail(*_: object) -> None:
        raise OperationalError("the disk is full")

    key, _ = issue_key()
    before = list(ApiKey.objects.values())
    monkeypatch.setattr(Head, "append", fail)
    with pytest.raises(OperationalError):
        action(key)
    assert list(ApiKey.objects.values()) == before
