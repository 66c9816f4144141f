"""What the seals are computed over, and the very lines that say what is wrong with a day."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta, timezone
from unittest.mock import patch
from uuid import UUID

import pytest
from django.db.models import F
from django.db.models.query import QuerySet

from gateway.audit.chain import Head, canonical, faults, missing_days, proof_of, seal_of, today
from gateway.audit.models import Record, State
from tests.unit.gateway.audit.test_chain import trail

__all__ = ["trail"]

HEAD = "the day's head is not what was sealed"
DAY = date(2026, 1, 2)


def known_record() -> Record:
    """Return a record, the same each time, with values of every kind."""
    return Record(
        request_id=UUID(int=7),
        state=State.SUCCEEDED,
        status=200,
        received_at=datetime(2026, 1, 2, 5, 4, 5, 678, tzinfo=timezone(timedelta(hours=2))),
        latency_ms=12.5,
        class_counts={"LSIL": 1, "É": 0},
        correlation_id="case-7",
    )


def test_canonical_form_has_sorted_names_and_utc():
    received_at = datetime(2026, 1, 2, 5, 4, 5, 678, tzinfo=timezone(timedelta(hours=2)))
    assert canonical({"b": received_at, "a": [1, None], "c": {"é": UUID(int=7), "d": DAY}}) == (
        rb'{"a":[1,null],"b":"2026-01-02T03:04:05.000678+00:00",'
        rb'"c":{"d":"2026-01-02","\u00e9":"00000000-0000-0000-0000-000000000007"}}'
    )


@pytest.fixture
def tokyo(monkeypatch) -> Iterator[None]:
    """Let the machine be in Tokyo."""
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        yield
    time.tzset()


def test_time_is_sealed_in_utc_wherever_machine_is(tokyo):
    assert canonical({"at": datetime(2026, 1, 2, tzinfo=UTC)}) == (
        b'{"at":"2026-01-02T00:00:00+00:00"}'
    )


def test_sealed_form_holds_all_values_but_key_and_seal():
    record = known_record()
    record.pk, record.seal = 9, "0" * 64
    names = {field.attname for field in Record._meta.concrete_fields}
    assert set(record.values()) == names - {"id", "seal"}
    assert record.values()["organisation_id"] is None


def test_seal_of_known_rows_is_as_in_every_version():
    """With other seals, no trail that exists could be verified any more."""
    head, seals = Head(trail="requests", day=DAY, number=3), []
    for _ in range(2):
        record = known_record()
        head.append(record)
        seals.append(record.seal)
    assert (record.day, record.position, head.length) == (DAY, 2, 2)
    assert seals == [
        "b4a07a15e1b063d27541ce78a13c2f2e6a9005b9e0cadce8deeb6d8dc0d9c0e8",
        "8a1f32b11b1600346ddc6531b9a49b97096d42a637778987e71af92bb8adc990",
    ]
    assert head.seal == seals[1]
    assert head.proof == "a49fdeca644b7e65931eb8acd0c1fe78b17106dc666b2ad4829e575c7c820563"


@pytest.mark.parametrize(
    "change", [{"trail": "events"}, {"day": today()}, {"number": 4}, {"length": 2}, {"seal": "1"}]
)
def test_proof_covers_every_value_of_head(change):
    values = {"trail": "requests", "day": DAY, "number": 3, "length": 1, "seal": "0"}
    assert proof_of(Head(**values)) != proof_of(Head(**(values | change)))


def test_seal_covers_seal_before():
    assert seal_of(known_record(), "") != seal_of(known_record(), "0")


@pytest.mark.django_db
class TestFaults:
    def of(self, rows: list[Record]) -> list[str]:
        return list(faults(Record, Head.objects.get(trail="requests")))

    def test_are_none_in_intact_day(self, trail):
        assert self.of(trail) == []

    @pytest.mark.parametrize(
        ("tamper", "lines"),
        [
            (lambda rows: rows[2].save(), ["row 3 is not what was sealed"]),
            (
                lambda rows: rows[0].delete(),
                ["after row 0 comes row 2", "row 2 is not what was sealed"],
            ),
            (
                lambda rows: rows[2].delete(),
                ["after row 2 comes row 4", "row 4 is not what was sealed"],
            ),
            (
                lambda rows: rows[4].delete(),
                ["the day ends with row 4, and not as sealed with row 5"],
            ),
            (
                lambda rows: Record.objects.all().delete(),
                ["the day ends with row 0, and not as sealed with row 5"],
            ),
            (
                lambda rows: Record.objects.filter(pk=rows[4].pk).update(seal="0"),
                [
                    "row 5 is not what was sealed",
                    "the day ends with row 5, and not as sealed with row 5",
                ],
            ),
            (
                lambda rows: Record.objects.create(request_id=UUID(int=7), day=today(), position=6),
                ["behind the day's end there is row 6"],
            ),
            (lambda rows: Head.objects.update(number=F("number") + 1), [HEAD]),
            (
                lambda rows: Head.objects.update(length=6),
                [HEAD, "the day ends with row 5, and not as sealed with row 6"],
            ),
        ],
        ids=[
            *("changed row", "no first row", "no middle row", "no last row", "no row"),
            *("last seal", "row behind the end", "number", "length"),
        ],
    )
    def test_name_each_fault_once(self, trail, tamper: Callable, lines: list[str]):
        trail[2].status = 500
        tamper(trail)
        assert self.of(trail) == lines

    def test_are_found_in_day_that_is_empty_by_its_head(self, trail):
        head = Head(trail="requests", day=DAY, number=9)
        head.proof = proof_of(head)
        head.save()
        assert list(faults(Record, head)) == []
        Record.objects.create(request_id=UUID(int=7), day=DAY, position=1)
        assert list(faults(Record, head)) == ["behind the day's end there is row 1"]


@pytest.mark.django_db
class TestHead:
    def test_numbers_days_of_each_trail_from_one(self):
        days = [DAY + timedelta(days=number) for number in range(3)]
        for number, day in enumerate(days, 1):
            assert Head.locked("requests", day).number == number
            assert Head.locked("requests", day).number == number
        assert Head.locked("events", DAY).number == 1
        assert Head.objects.count() == 4

    def test_of_day_is_found_and_empty_at_first(self):
        head = Head.locked("requests", DAY)
        assert (head.trail, head.day, head.length, head.seal) == ("requests", DAY, 0, "")
        head.append(known_record())
        head.save()
        again = Head.locked("requests", DAY)
        assert (again.pk, again.length, again.seal) == (head.pk, 1, head.seal)

    def test_is_that_of_writer_who_began_day_meanwhile(self):
        def first(heads: QuerySet[Head]) -> None:
            Head.objects.create(trail="requests", day=DAY, number=1, length=5)

        with patch.object(QuerySet, "first", first):
            assert Head.locked("requests", DAY).length == 5
        assert Head.objects.count() == 1


@pytest.mark.django_db
class TestMissingDays:
    @pytest.mark.parametrize(
        ("numbers", "pruned", "lines"),
        [
            ([], set(), []),
            ([1, 2, 3], set(), []),
            ([2, 3], set(), ["days are missing before 2026-01-02"]),
            ([3, 4], {1, 2}, []),
            ([3, 4], {1}, ["days are missing before 2026-01-02"]),
            ([1, 3], set(), ["days are missing between 2026-01-02 and 2026-01-03"]),
            ([1, 3], {2}, ["days are missing between 2026-01-02 and 2026-01-03"]),
            ([1, 1], set(), ["days are missing between 2026-01-02 and 2026-01-03"]),
            (
                [2, 4, 6],
                set(),
                [
                    "days are missing before 2026-01-02",
                    "days are missing between 2026-01-02 and 2026-01-03",
                    "days are missing between 2026-01-03 and 2026-01-04",
                ],
            ),
        ],
    )
    def test_are_named_by_days_beside_them(self, numbers, pruned, lines):
        for count, number in reversed(list(enumerate(numbers))):
            day = DAY + timedelta(days=count)
            Head.objects.create(trail="requests", day=day, number=number)
            Head.objects.create(trail="events", day=day, number=number + 10)
        assert list(missing_days("requests", pruned)) == lines


def test_today_is_that_of_utc():
    with patch("gateway.audit.chain.datetime") as clock:
        clock.now.side_effect = {UTC: datetime(2026, 1, 2, 23, 59, tzinfo=UTC)}.__getitem__
        assert today() == DAY
