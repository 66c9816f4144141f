import hashlib
from typing import Any
from uuid import uuid4

import pytest

from gateway.audit.models import Event, Record, Source, State
from gateway.errors import FeedbackMismatch, NotFound
from gateway.reviews.actions import give_feedback, read_feedback
from gateway.reviews.feedback import Feedback
from gateway.reviews.models import Missed, Verdict, Version
from tests.clinics import organisation_named
from tests.unit.gateway.reviews.records import (
    JANE,
    JOHN,
    accepted,
    answered,
    give,
    rejected,
    relabelled,
)

pytestmark = pytest.mark.django_db


def given_events() -> list[Event]:
    return list(Event.objects.filter(action=Event.Action.FEEDBACK_GIVEN).order_by("pk"))


def current(record: Record) -> list[tuple[int, str, str]]:
    """Return the lesion, the verdict and the author of each verdict that holds."""
    rows = Verdict.objects.filter(record=record, replaced_at=None).order_by("lesion", "author")
    return list(rows.values_list("lesion", "kind", "author"))


def test_verdicts_and_missed_lesions_are_kept_with_author():
    record = answered()
    missed = [{"label": "carcinoma", "box": [1.0, 2.0, 30.0, 40.0]}, {"label": "LSIL", "count": 2}]
    given = give(record, accepted(0, "HSIL"), relabelled(1), rejected(2), missed=missed)
    assert current(record) == [
        (0, "accept", "user:jane"),
        (1, "relabel", "user:jane"),
        (2, "reject", "user:jane"),
    ]
    assert [(lesion.id, lesion.new_label, lesion.by) for lesion in given.view.lesions] == [
        (0, None, "user:jane"),
        (1, "HSIL", "user:jane"),
        (2, None, "user:jane"),
    ]
    assert [(row.label, row.count, row.box) for row in given.view.missed] == [
        ("LSIL", 2, None),
        ("carcinoma", 1, [1.0, 2.0, 30.0, 40.0]),
    ]
    assert given.new == {"accept": 1, "relabel": 1, "reject": 1, "missed": 3}


def counts_of(event: Event) -> str:
    """Return what the subject says behind answer, version and digest."""
    return event.subject.partition("sha256:")[2].partition(" ")[2]


def test_event_names_answer_version_digest_and_counts():
    record = answered()
    give(record, accepted(0), accepted(1), missed=[{"label": "HSIL"}])
    (event,) = given_events()
    (version,) = Version.objects.all()
    digest = hashlib.sha256(version.content.encode()).hexdigest()
    begin = f"record:{record.request_id} version:1 sha256:{digest}"
    assert event.subject == f"{begin} accept:2 missed:1"
    assert (event.actor, event.organisation) == ("user:jane", record.organisation)


def test_same_feedback_again_changes_nothing_and_writes_no_event():
    record = answered()
    feedback = (accepted(0), relabelled(1))
    missed = [{"label": "HSIL", "box": [1, 2, 3, 4]}]
    first = give(record, *feedback, missed=missed)
    again = give(record, *feedback, missed=missed)
    assert again.view == first.view
    assert not again.new
    assert (Verdict.objects.count(), Missed.objects.count(), len(given_events())) == (2, 1, 1)


def test_later_verdict_of_author_replaces_earlier_one_which_is_kept():
    record = answered()
    give(record, accepted(0), accepted(1))
    given = give(record, rejected(0))
    assert current(record) == [(0, "reject", "user:jane"), (1, "accept", "user:jane")]
    assert given.new == {"reject": 1}
    (earlier,) = Verdict.objects.exclude(replaced_at=None)
    (later,) = Verdict.objects.filter(kind="reject")
    assert (earlier.lesion, earlier.kind, earlier.replaced_at) == (0, "accept", later.at)
    assert len(given_events()) == 2


def test_verdict_that_is_given_back_holds_again():
    record = answered()
    for lesion in (accepted(0), rejected(0), accepted(0)):
        give(record, lesion)
    assert current(record) == [(0, "accept", "user:jane")]
    assert Verdict.objects.count() == 3


def test_verdicts_of_several_people_stand_side_by_side():
    record = answered()
    give(record, accepted(0))
    view = give(record, rejected(0), by=JOHN).view
    assert [(row.verdict, row.by) for row in view.lesions] == [
        ("accept", "user:jane"),
        ("reject", "user:john"),
    ]


def test_missed_lesions_are_replaced_as_a_whole_and_kept():
    record = answered()
    give(record, missed=[{"label": "HSIL"}, {"label": "LSIL"}])
    give(record, accepted(0))  # without missed: they stay
    assert Missed.objects.filter(replaced_at=None).count() == 2
    given = give(record, missed=[])
    assert given.view.missed == []
    assert Missed.objects.count() == 2
    assert [counts_of(event) for event in given_events()] == [
        "missed:2",
        "accept:1",
        "missed:0",
    ]


@pytest.mark.parametrize(
    ("feedback", "reason"),
    [
        ({"lesions": [accepted(0, "polyp")]}, "no class 'polyp'"),
        ({"lesions": [relabelled(0, new_label="polyp")]}, "no class 'polyp'"),
        ({"missed": [{"label": "polyp"}]}, "no class 'polyp'"),
        ({"lesions": [accepted(5)]}, "no lesion 5"),
        ({"lesions": [accepted(0, "carcinoma")]}, "has 0 of the class 'carcinoma'"),
        ({"lesions": [accepted(n, "HSIL") for n in range(3)]}, "has 2 of the class 'HSIL'"),
        ({"missed": [{"label": "HSIL", "box": [0, 0, 641, 10]}]}, "640x480"),
        ({"missed": [{"label": "HSIL", "box": [0, 0, 10, 481]}]}, "640x480"),
        ({"missed": [{"label": "HSIL", "outline": [[0, 0, 641, 0, 0, 10]]}]}, "640x480"),
        ({"lesions": [accepted(0) | {"outline": [[0, 0, 9, 0, 0, 481]]}]}, "640x480"),
    ],
)
def test_feedback_that_does_not_fit_record_is_refused_whole(feedback, reason):
    record = answered()
    lesions = [accepted(4), *feedback.get("lesions", [])]
    with pytest.raises(FeedbackMismatch, match=reason):
        give(record, *lesions, missed=feedback.get("missed"))
    assert not Verdict.objects.exists()
    assert not Missed.objects.exists()
    assert given_events() == []


def test_lesions_of_class_are_counted_over_all_that_was_given():
    record = answered()
    give(record, accepted(0, "HSIL"))
    give(record, accepted(1, "HSIL"), by=JOHN)
    give(record, rejected(0, "HSIL"), by=JOHN)  # the same lesion counts once
    with pytest.raises(FeedbackMismatch, match="and 3 would be judged"):
        give(record, accepted(2, "HSIL"))


def test_label_that_contradicts_another_person_is_refused():
    record = answered()
    give(record, accepted(0, "HSIL"))
    with pytest.raises(FeedbackMismatch, match="judged before as 'HSIL'"):
        give(record, accepted(0, "LSIL"), by=JOHN)


def test_author_corrects_label_of_own_verdict():
    record = answered()
    give(record, accepted(0, "HSIL"))
    view = give(record, accepted(0, "LSIL")).view
    assert [(row.id, row.label) for row in view.lesions] == [(0, "LSIL")]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"state": State.FAILED, "status": 500}, "no answer"),
        ({"state": State.REJECTED, "status": 422}, "no answer"),
        ({"source": Source.PROBE}, "test of the service"),
        ({"detection_count": None}, "No lesions were looked for"),
    ],
    ids=["failed", "rejected", "probe", "withheld"],
)
def test_record_that_cannot_be_judged_is_refused(changes: dict[str, Any], reason):
    with pytest.raises(FeedbackMismatch, match=reason):
        give(answered(**changes), accepted(0))


def test_record_of_another_organisation_is_unknown():
    record = answered(organisation="elsewhere")
    feedback = Feedback.model_validate({"lesions": [accepted(0)]})
    ours = organisation_named("a clinic")
    for request_id in (record.request_id, uuid4()):
        with pytest.raises(NotFound):
            give_feedback(request_id, ours, feedback, JANE)
        with pytest.raises(NotFound):
            read_feedback(request_id, ours, JANE)
    assert not Verdict.objects.exists()


def test_reading_is_an_event():
    record = answered()
    assert record.organisation is not None
    read_feedback(record.request_id, record.organisation, JANE)
    (event,) = Event.objects.filter(action=Event.Action.RECORD_READ)
    assert event.subject == f"feedback:{record.request_id}"


def test_record_stays_as_it_was_sealed():
    record = answered()
    sealed = Record.objects.filter(pk=record.pk).values().get()
    give(record, rejected(0), missed=[{"label": "HSIL"}])
    assert Record.objects.filter(pk=record.pk).values().get() == sealed


def test_verdicts_go_with_their_pruned_record():
    record = answered()
    give(record, rejected(0), missed=[{"label": "HSIL"}])
    Record.objects.filter(pk=record.pk).delete()
    assert (Verdict.objects.count(), Missed.objects.count()) == (0, 0)
