"""Tampering with the audit trail shows: whatever is done to a sealed row, or to a day."""

from collections.abc import Callable
from datetime import date, timedelta
from io import StringIO
from unittest.mock import patch
from uuid import uuid4

import pytest
from django.core.management import CommandError, call_command
from django.db.models import F
from django.utils import timezone

from gateway.audit.chain import Head, faults, seal_of, today
from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event, Record, State
from gateway.audit.sweep import sweep
from gateway.usage.models import Tally
from gateway.usage.tally import _fold_some, fold
from pipeline.schemas import PredictOptions
from tests.answers import answer, model
from tests.clinics import organisation_named

pytestmark = pytest.mark.django_db


def closed(**values: object) -> Record:
    record = Record(request_id=uuid4(), state=State.SUCCEEDED, status=200, **values)
    record.finished_at, record.latency_ms = timezone.now(), 12.345
    assert Record.objects.close(record)
    return record


def verify(against: str | None = None) -> str:
    """What is found intact. Raises CommandError."""
    out = StringIO()
    lines = None if against is None else StringIO(against)
    call_command("verify_audit", stdout=out, stderr=StringIO(), against=lines)
    return out.getvalue()


@pytest.fixture
def trail() -> list[Record]:
    organisation = organisation_named("a clinic")
    records = [
        closed(
            organisation=organisation,
            class_counts={"LSIL": 1, "É": 0},
            address="192.0.2.1",
            correlation_id="case-7",
            model_engine="openvino",
            model_precision="int8",
            bundle_sha256="d" * 64,
            options=PredictOptions(score_threshold=0.3).model_dump(),
            below_threshold=2,
        )
        for _ in range(5)
    ]
    for number in range(3):
        record_event(Event.Action.USAGE_READ, Actor(f"user:{number}"), organisation)
    return records


def test_untouched_trail_is_intact(trail):
    lines = verify().splitlines()
    heads = Head.objects.order_by("trail", "day")
    assert lines == [f"{head.trail} {head.day}: {head.length} rows, {head.seal}" for head in heads]
    assert [head.length for head in heads] == [4, 5]


def test_row_is_sealed_with_and_without_open_state(trail):
    record = Record.objects.create(request_id=uuid4())
    record.state, record.finished_at = State.FAILED, timezone.now()
    assert Record.objects.close(record)
    assert Record.objects.get(pk=record.pk).position == 6
    verify()


def test_first_final_state_and_its_seal_stay(trail):
    again = Record.objects.get(pk=trail[2].pk)
    again.state = State.ABORTED
    assert not Record.objects.close(again)
    verify()


def forged(row: Record) -> None:
    """With a seal that fits the row, made with another key."""
    row.status = 500
    Record.objects.filter(pk=row.pk).update(status=500, seal=seal_of(row, "guess"))


TAMPERING: dict[str, Callable[[list[Record]], object]] = {
    "a status": lambda rows: Record.objects.filter(pk=rows[2].pk).update(status=500),
    "a time": lambda rows: Record.objects.filter(pk=rows[2].pk).update(
        received_at=F("received_at") - timedelta(microseconds=1)
    ),
    "a correlation id": lambda rows: Record.objects.filter(pk=rows[2].pk).update(
        correlation_id="case-8"
    ),
    "no correlation id": lambda rows: Record.objects.filter(pk=rows[2].pk).update(
        correlation_id=""
    ),
    "an engine": lambda rows: Record.objects.filter(pk=rows[2].pk).update(model_engine="portable"),
    "a precision": lambda rows: Record.objects.filter(pk=rows[2].pk).update(
        model_precision="float32"
    ),
    "another model": lambda rows: Record.objects.filter(pk=rows[2].pk).update(
        bundle_sha256="e" * 64
    ),
    "a threshold": lambda rows: Record.objects.filter(pk=rows[2].pk).update(
        options=PredictOptions(score_threshold=0.05).model_dump()
    ),
    "no options": lambda rows: Record.objects.filter(pk=rows[2].pk).update(options=None),
    "nothing hidden": lambda rows: Record.objects.filter(pk=rows[2].pk).update(below_threshold=0),
    "not known whether hidden": lambda rows: Record.objects.filter(pk=rows[2].pk).update(
        below_threshold=None
    ),
    "a count": lambda rows: Record.objects.filter(pk=rows[2].pk).update(class_counts={"LSIL": 2}),
    "an owner": lambda rows: Record.objects.filter(pk=rows[2].pk).update(organisation=None),
    "a seal": lambda rows: Record.objects.filter(pk=rows[2].pk).update(seal="0" * 64),
    "a forged seal": lambda rows: forged(rows[2]),
    "the first row gone": lambda rows: rows[0].delete(),
    "a row gone": lambda rows: rows[2].delete(),
    "the last row gone": lambda rows: rows[4].delete(),
    "every row gone": lambda rows: Record.objects.all().delete(),
    "the last row back in received": lambda rows: Record.objects.filter(pk=rows[4].pk).update(
        day=None, position=None, seal="", state="received"
    ),
    "a row in another day": lambda rows: Record.objects.filter(pk=rows[4].pk).update(
        day=today() - timedelta(days=1)
    ),
    "a row more": lambda rows: Record.objects.create(
        request_id=uuid4(), state="succeeded", day=today(), position=6, seal="0" * 64
    ),
    "a shorter day": lambda rows: (
        rows[4].delete(),
        Head.objects.filter(trail="requests").update(length=4),
    ),
    "the last row gone, and the head as it was before it": lambda rows: (
        rows[4].delete(),
        Head.objects.filter(trail="requests").update(length=4, seal=rows[3].seal),
    ),
    "another number": lambda rows: Head.objects.filter(trail="requests").update(number=2),
    "a final row in no day": lambda rows: Record.objects.create(
        request_id=uuid4(), state="succeeded", status=200
    ),
    "an event in no day": lambda rows: Event.objects.create(action="usage.read", actor="user:9"),
    "no head": lambda rows: Head.objects.filter(trail="requests").delete(),
    "a head of an unknown trail": lambda rows: Head.objects.create(trail="other", day=today()),
    "a head whose trail holds an escape": lambda rows: Head.objects.create(
        trail="\x1b[2J", day=today()
    ),
    "a seal that is no seal": lambda rows: Record.objects.filter(pk=rows[2].pk).update(seal="é"),
    "a proof that is no proof": lambda rows: Head.objects.update(proof="é"),
    "a tampered event of a pruned day": lambda rows: Event.objects.filter(actor="user:1").update(
        action="audit.pruned", subject="requests what ever"
    ),
    "an event": lambda rows: Event.objects.filter(actor="user:1").update(actor="user:9"),
    "an event gone": lambda rows: Event.objects.filter(actor="user:1").delete(),
}


def test_record_has_eleven_fields_added_later():
    assert Record.added_later == {
        "correlation_id", "model_engine", "model_precision", "bundle_sha256", "options",
        "below_threshold", "source", "image_sha256", "model_score_threshold", "model_software",
        "ungradable_reasons",
    }  # fmt: skip


@pytest.mark.parametrize("threshold", [None, 0.0, -0.0, 0.05, 1 / 3, 1])
def test_seal_holds_for_any_threshold_of_model(threshold):
    record = Record(request_id=uuid4(), state="succeeded")
    record.set_prediction(answer(info=model(score_threshold=threshold)))
    assert Record.objects.close(record)
    verify()


@pytest.mark.parametrize("threshold", [None, 0.0, -0.0, 1.0, 0.1, 1 / 3, 1e-7, 5e-324, 1])
def test_seal_holds_for_any_threshold(threshold):
    options = PredictOptions(score_threshold=threshold)
    record = Record(request_id=uuid4())
    record.set_options(options)
    assert Record.objects.close(record)
    verify()


@pytest.mark.parametrize("what", TAMPERING)
def test_tampering_is_found(trail, what):
    TAMPERING[what](trail)
    with pytest.raises(CommandError, match="not intact"):
        verify()


def test_unknown_trail_name_is_printed_escaped(trail):
    Head.objects.create(trail="\x1b[2J", day=today())
    err = StringIO()
    with pytest.raises(CommandError):
        call_command("verify_audit", stdout=StringIO(), stderr=err)
    assert "no trail that there is (requests or events)" in err.getvalue()
    assert "\x1b[2J" not in err.getvalue()


def test_prune_refuses_head_of_unknown_trail(days, settings):
    settings.RETENTION_DAYS = 1
    Head.objects.create(trail="a trail", day=today() - timedelta(days=9))
    with pytest.raises(CommandError, match="not intact"):
        call_command("prune_audit", stdout=StringIO())


def test_verification_with_another_audit_key_fails(trail, settings):
    settings.AUDIT_KEY = "another key, of whoever wrote into the database"
    with pytest.raises(CommandError, match="not intact"):
        verify()


def test_record_left_by_crash_is_closed_as_unknown(settings):
    long_ago = timezone.now() - timedelta(seconds=settings.DEADLINE_S + 3600)
    left = Record.objects.create(request_id=uuid4(), received_at=long_ago)
    other = Record.objects.create(request_id=uuid4(), received_at=long_ago)
    under_way = Record.objects.create(request_id=uuid4())
    assert {record.pk for record in sweep()} == {left.pk, other.pk}
    assert sweep() == []
    assert Record.objects.get(pk=left.pk).state == "unknown"
    assert Record.objects.get(pk=under_way.pk).state == "received"
    verify()


def test_row_of_meanwhile_leaves_listed_day_as_verified(trail):
    """The length that is printed belongs to the seal beside it."""
    head = Head.objects.get(trail="requests")
    closed()
    assert list(faults(Record, head)) == []
    assert head.length == 5


@pytest.fixture
def days(monkeypatch) -> list[date]:
    """Three days with two requests each; today is another one."""
    dates = [today() - timedelta(days=days) for days in (33, 32, 31)]
    for day in dates:
        monkeypatch.setattr("gateway.audit.models.today", lambda day=day: day)
        closed()
        closed()
    monkeypatch.undo()
    fold()
    return dates


def test_pruning_deletes_whole_days_and_is_recorded(days, settings):
    settings.RETENTION_DAYS = 31
    closed()
    call_command("prune_audit", "--dry-run", stdout=StringIO())
    assert Record.objects.count() == 7
    before = verify()
    call_command("prune_audit", stdout=StringIO())
    assert set(Record.objects.values_list("day", flat=True)) == {days[2], today()}
    pruned = Event.objects.filter(action="audit.pruned").order_by("position")
    assert [event.subject.split()[:4] for event in pruned] == [
        ["requests", str(day), str(number), "2"] for number, day in enumerate(days[:2], 1)
    ]
    verify(before)
    settings.RETENTION_DAYS = None  # so that the days are looked for
    verify(before)
    with pytest.raises(CommandError, match="not intact"):
        verify(before.replace(": 2 rows", ": 3 rows"))


def test_tampered_day_is_not_pruned(days, settings):
    settings.RETENTION_DAYS = 31
    Record.objects.filter(day=days[0], position=1).update(status=500)
    with pytest.raises(CommandError, match="not intact"):
        call_command("prune_audit", stdout=StringIO())
    assert Record.objects.count() == 6


def test_day_is_not_pruned_before_it_is_tallied(days, settings):
    settings.RETENTION_DAYS = 31
    Head.objects.filter(day=days[0]).update(tallied=1)
    with pytest.raises(CommandError, match="not in the usage numbers"):
        call_command("prune_audit", stdout=StringIO())
    assert Record.objects.count() == 6


def test_counts_of_pruned_days_are_deleted(settings):
    settings.RETENTION_DAYS = 31
    organisation = organisation_named("a clinic")
    for days in (32, 1):
        day = today() - timedelta(days=days)
        with patch("gateway.audit.models.today", return_value=day):
            closed(organisation=organisation)
    fold()
    call_command("prune_audit", stdout=StringIO())
    fold()
    assert set(Tally.objects.values_list("day", flat=True)) == {today() - timedelta(days=1)}


def test_counts_of_unpruned_days_stay(days):
    """Days that somebody took out of the trail keep their counts: they are evidence."""
    Tally.objects.create(
        organisation=organisation_named("a clinic"),
        caller="user:a",
        day=days[0] - timedelta(days=1),
        dimension="outcome",
        value="succeeded",
        count=1,
    )
    fold()
    assert Tally.objects.filter(day__lt=days[0]).count() == 1


def test_missing_day_is_found(days):
    Record.objects.filter(day=days[1]).delete()
    Head.objects.filter(day=days[1]).delete()
    with pytest.raises(CommandError, match="not intact"):
        verify()


def test_missing_first_day_is_found(days):
    Record.objects.filter(day=days[0]).delete()
    Head.objects.filter(day=days[0]).delete()
    with pytest.raises(CommandError, match="not intact"):
        verify()


def test_second_end_of_request_starts_no_day(trail, monkeypatch):
    monkeypatch.setattr("gateway.audit.models.today", lambda: today() + timedelta(days=1))
    again = Record.objects.get(pk=trail[2].pk)
    assert not Record.objects.close(again)
    verify()


def test_day_pruned_during_count_stays_deleted(days, settings, monkeypatch):
    settings.RETENTION_DAYS = 31
    (seen,) = Head.objects.filter(day=days[0])
    call_command("prune_audit", stdout=StringIO())
    assert not _fold_some(seen)
    verify()


@pytest.mark.parametrize("line", ["nonsense", "requests 2026-13-45: 1 rows, " + "0" * 64])
def test_malformed_earlier_output_is_refused(trail, line):
    with pytest.raises(CommandError, match="not a line"):
        verify(line)


def test_missing_last_day_is_found_by_earlier_output(days):
    before = verify()
    Record.objects.filter(day=days[2]).delete()
    Head.objects.filter(day=days[2]).delete()
    verify()
    with pytest.raises(CommandError, match="not intact"):
        verify(before)


def test_day_that_grows_during_verification_is_intact(trail):
    (head,) = Head.objects.filter(trail="requests")
    closed()
    assert list(faults(Record, head)) == []


@pytest.mark.parametrize("option", ["first", "last"])
def test_verify_compares_earlier_output_with_whole_trail_only(trail, option):
    with pytest.raises(CommandError, match="leave out --from and --to"):
        call_command("verify_audit", against=StringIO(verify()), **{option: today()})


def test_prune_says_that_no_day_is_old_enough(trail, settings):
    settings.RETENTION_DAYS = 31
    out = StringIO()
    call_command("prune_audit", stdout=out)
    assert out.getvalue() == f"nothing is older than {today() - timedelta(days=31)}\n"


def test_prune_without_retention_time_is_refused(settings):
    assert settings.RETENTION_DAYS is None
    with pytest.raises(CommandError, match="LESIONSERVE_RETENTION_DAYS"):
        call_command("prune_audit")
