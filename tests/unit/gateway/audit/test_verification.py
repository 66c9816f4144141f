"""The lines that say what is wrong with the whole of the trail."""

from datetime import date, timedelta
from uuid import UUID

import pytest

from gateway.audit.chain import Head, proof_of, today
from gateway.audit.models import Event, Record
from gateway.audit.verification import all_faults, faults_of_day, headless_days
from tests.unit.gateway.audit.test_chain import closed, trail

__all__ = ["trail"]

pytestmark = pytest.mark.django_db

OTHER = date(2026, 1, 2)


def test_intact_trail_has_no_faults(trail):
    assert list(all_faults()) == []


def test_faults_are_named_by_trail_and_day(trail, monkeypatch):
    monkeypatch.setattr("gateway.audit.models.today", lambda: OTHER)
    closed()
    Record.objects.filter(position=1).update(status=500)
    Event.objects.filter(position=2).update(actor="user:9")
    assert list(all_faults()) == [
        f"events {today()}: row 2 is not what was sealed",
        "requests 2026-01-02: row 1 is not what was sealed",
        f"requests {today()}: row 1 is not what was sealed",
    ]


def test_name_of_unknown_trail_is_escaped():
    head = Head(trail="\x1b[2J", day=OTHER, number=1)
    head.proof = proof_of(head)
    head.save()
    assert list(all_faults()) == [
        r"'\x1b[2J' 2026-01-02: the head is of no trail that there is (requests or events)"
    ]


def test_known_trail_is_verified_by_its_own_rows(trail):
    Record.objects.all().delete()
    for head in Head.objects.all():
        assert bool(faults_of_day(head)) == (head.trail == "requests")


def test_day_without_head_is_named_once_for_its_rows(trail):
    Head.objects.all().delete()
    assert list(all_faults()) == [
        f"{trail} {today()}: the head of the day is missing" for trail in ("requests", "events")
    ]


def test_days_without_head_are_looked_for_between_two_days():
    days = [OTHER + timedelta(days=number) for number in range(4)]
    for number in (2, 0, 3, 1):
        Record.objects.create(request_id=UUID(int=number), day=days[number], position=1)
    Head.locked("requests", days[1])
    assert list(headless_days(days[0], days[2])) == [
        "requests 2026-01-02: the head of the day is missing",
        "requests 2026-01-04: the head of the day is missing",
    ]


def test_gap_is_explained_by_pruned_day():
    for number, day in ((2, OTHER), (3, OTHER + timedelta(days=1))):
        head = Head(trail="requests", day=day, number=number)
        head.proof = proof_of(head)
        head.save()
    assert list(all_faults()) == ["requests: days are missing before 2026-01-02"]
    subject = f"requests 2026-01-01 1 2 {'a' * 64}"
    Event.objects.create(action="audit.pruned", subject=subject, actor="command")
    assert list(all_faults()) == ["events: 1 rows were never sealed"]


def test_final_row_outside_every_day_is_counted():
    for number, state in enumerate(["received", "succeeded", "failed"]):
        Record.objects.create(request_id=UUID(int=number), state=state)
    assert list(all_faults()) == ["requests: 2 rows were never sealed"]
