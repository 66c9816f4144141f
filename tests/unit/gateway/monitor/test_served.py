from datetime import datetime, timedelta
from uuid import uuid4

import pytest
from django.utils import timezone

from gateway.audit.models import Record
from gateway.monitor import served
from gateway.monitor.models import ServedModel
from gateway.monitor.served import note_served_models

pytestmark = pytest.mark.django_db

NOON = timezone.now().replace(microsecond=0)
A, B = "a" * 64, "b" * 64


@pytest.fixture
def at(monkeypatch):
    """Have the models noted every minute up to this minute, as a running gateway does."""
    minute = -1

    def note_until(last: int) -> None:
        nonlocal minute
        while minute < last:
            minute += 1
            now = NOON + timedelta(minutes=minute)
            monkeypatch.setattr(served.timezone, "now", lambda now=now: now)
            note_served_models()

    return note_until


def answer(digest: str, minute: float, version: str = "1") -> datetime:
    moment = NOON + timedelta(minutes=minute)
    Record.objects.create(
        request_id=uuid4(), state="succeeded", received_at=moment, bundle_sha256=digest,
        model_name="demo", model_version=version,
    )  # fmt: skip
    return moment


def minutes_of(digest: str) -> list[tuple[float, float]]:
    """Return the first and the last minute of each row of the model."""
    rows = ServedModel.objects.filter(bundle_sha256=digest).order_by("first_seen")
    return [
        ((row.first_seen - NOON).total_seconds() / 60, (row.last_seen - NOON).total_seconds() / 60)
        for row in rows
    ]


def test_model_is_noted_once_while_it_serves(at):
    for minute in range(40):
        answer(A, minute)
        at(minute)
    assert minutes_of(A) == [(0, 39)]
    assert str(ServedModel.objects.get()) == "demo 1 (aaaaaaaaaaaa)"


def test_new_model_is_noted_beside_old_one(at):
    for minute in range(10):
        answer(A if minute < 5 else B, minute, version="1" if minute < 5 else "2")
        at(minute)
    assert (minutes_of(A), minutes_of(B)) == ([(0, 4)], [(5, 9)])


def test_models_in_turn_are_one_roll_out(at):
    for minute in range(20):
        answer(B if minute % 2 else A, minute)
        at(minute)
    assert (minutes_of(A), minutes_of(B)) == ([(0, 18)], [(1, 19)])


def test_model_that_is_put_back_is_noted_again(at):
    for minute in range(30):
        answer(B if 10 <= minute < 20 else A, minute)
        at(minute)
    assert (minutes_of(A), minutes_of(B)) == ([(0, 9), (20, 29)], [(10, 19)])


def test_pause_without_another_model_is_no_change(at):
    answer(A, 0)
    at(1)
    answer(A, 500)
    at(501)
    assert minutes_of(A) == [(0, 500)]


def test_request_without_answer_notes_no_model(at):
    answer("", 0)
    at(0)
    assert not ServedModel.objects.exists()
