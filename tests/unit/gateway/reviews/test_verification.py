"""What verification finds of feedback that was changed, added or removed in the database."""

from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from gateway.audit.events import record_event
from gateway.audit.models import Event, Record
from gateway.reviews.models import Missed, Verdict, Version
from gateway.reviews.verification import feedback_faults
from tests.unit.gateway.reviews.records import JANE, JOHN, accepted, answered, give, rejected

pytestmark = pytest.mark.django_db

SQUARE = [[10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]]


@pytest.fixture
def record() -> Record:
    """The record of an answer that Jane judged twice, and John once."""
    record = answered()
    give(record, accepted(0), missed=[{"label": "HSIL", "outline": SQUARE}])
    give(record, rejected(1))
    give(record, accepted(0), by=JOHN)
    return record


def verdict(**changes: Any) -> Verdict:
    values = {"author": "user:jane", "lesion": 2, "label": "LSIL", "kind": "accept"}
    return Verdict.objects.create(**(values | changes))


def test_given_feedback_is_intact(record):
    assert feedback_faults() == []


@pytest.mark.parametrize("number", [1, 2])
def test_changed_version_is_found(record, number):
    version = Version.objects.get(author="user:jane", number=number)
    Version.objects.filter(pk=version.pk).update(
        content=version.content.replace('"accept"', '"reject"')
    )
    assert feedback_faults() == [
        f"feedback on {record.request_id} by user:jane: version {number} is not what was sealed"
    ]


def test_content_that_cannot_be_read_is_found(record):
    Version.objects.filter(author="user:jane", number=2).update(content="{")
    assert len(feedback_faults()) == 1


@pytest.mark.parametrize("number", [1, 2])
def test_removed_version_is_found(record, number):
    Version.objects.get(author="user:jane", number=number).delete()
    assert feedback_faults() == [
        f"feedback on {record.request_id} by user:jane: version {number} is missing"
    ]


def test_added_version_is_found(record):
    Version.objects.create(record=record, author="user:jim", number=1, content="{}")
    assert feedback_faults() == [
        f"feedback on {record.request_id} by user:jim: version 1 is not what was sealed"
    ]


@pytest.mark.parametrize(
    "forge",
    [
        lambda record: Verdict.objects.filter(kind="reject").update(kind="accept"),
        lambda record: Verdict.objects.filter(kind="reject").delete(),
        lambda record: Verdict.objects.filter(kind="reject").update(replaced_at=timezone.now()),
        lambda record: verdict(record=record),
        lambda record: Missed.objects.update(label="LSIL"),
        lambda record: Missed.objects.all().delete(),
        lambda record: Missed.objects.update(box=[0.0, 0.0, 1.0, 1.0]),
    ],
    ids=["changed", "removed", "replaced", "added", "label", "unmissed", "box"],
)
def test_row_that_does_not_follow_from_version_is_found(record, forge):
    forge(record)
    assert feedback_faults() == [
        f"feedback on {record.request_id} by user:jane: what is counted is not what the latest "
        "version says"
    ]


def test_verdict_that_no_event_tells_of_is_found(record):
    verdict(record=record, author="user:jim\x1b")
    assert feedback_faults() == [
        rf"feedback on {record.request_id} by user:jim\x1b: no event says that it was given"
    ]


def test_feedback_of_before_versions_is_no_fault(record):
    verdict(record=record, author="user:jim")
    subject = f"record:{record.request_id} accept:1"
    record_event(Event.Action.FEEDBACK_GIVEN, JANE, subject=subject)
    assert len(feedback_faults()) == 1  # Jane's event, and Jim's verdict
    Event.objects.filter(subject=subject).update(actor="user:jim")
    assert feedback_faults() == []


def test_gateway_of_before_versions_that_wrote_last_is_no_fault(record):
    Verdict.objects.filter(author="user:jane", lesion=1).update(kind="accept")
    subject = f"record:{record.request_id} accept:1"
    record_event(Event.Action.FEEDBACK_GIVEN, JANE, subject=subject)
    assert feedback_faults() == []


def test_feedback_goes_with_its_record(record):
    record.delete()
    assert feedback_faults() == []


def test_version_whose_event_was_pruned_is_no_fault(record):
    Event.objects.filter(action=Event.Action.FEEDBACK_GIVEN).delete()
    assert len(feedback_faults()) == 3
    subject = f"events {record.day} 1 9 {'a' * 64}"
    Event.objects.create(action="audit.pruned", subject=subject, actor="command")
    assert feedback_faults() == []


def test_event_of_another_form_says_nothing(record):
    Event.objects.filter(actor="user:john", action="feedback.given").update(subject="forged")
    (line,) = feedback_faults()
    assert line.endswith("by user:john: version 1 is not what was sealed")


def test_whole_verification_fails_with_forged_feedback(record):
    call_command("verify_audit", stdout=StringIO())
    Version.objects.filter(author="user:john").delete()
    errors = StringIO()
    with pytest.raises(CommandError, match="1 faults"):
        call_command("verify_audit", stdout=StringIO(), stderr=errors)
    assert "by user:john: version 1 is missing" in errors.getvalue()
