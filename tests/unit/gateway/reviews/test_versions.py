"""Versions of feedback: what each holds, what follows which, and rows of before there were any."""

import pytest

from gateway.audit.models import Event, Record
from gateway.errors import FeedbackMismatch, FeedbackOutdated
from gateway.reviews.actions import Given, give_feedback, read_feedback
from gateway.reviews.feedback import Content, Feedback
from gateway.reviews.models import Missed, Verdict, Version
from tests.unit.gateway.reviews.records import (
    JANE,
    JOHN,
    accepted,
    answered,
    give,
    outlined,
    rejected,
    relabelled,
    say,
)

pytestmark = pytest.mark.django_db

SQUARE = [[10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]]


def contents() -> list[Content]:
    rows = Version.objects.order_by("pk")
    return [Content.model_validate_json(row.content) for row in rows]


def events() -> int:
    return Event.objects.filter(action=Event.Action.FEEDBACK_GIVEN).count()


def mine(given: Given) -> Content:
    assert given.view.mine is not None
    return given.view.mine


def test_each_version_holds_all_that_its_author_says():
    record = answered()
    say(record, lesions=[outlined(0)], comment="a")
    given = say(record, lesions=[rejected(1)], missed=[{"label": "HSIL", "outline": SQUARE}])
    first, second = contents()
    assert [lesion.id for lesion in first.lesions] == [0]
    assert [(lesion.id, lesion.outline is not None) for lesion in second.lesions] == [
        (0, True),
        (1, False),
    ]
    assert (second.comment, second.missed[0].outline) == ("a", SQUARE)
    assert (mine(given), given.view.version) == (second, 2)


def test_outline_alone_is_a_version_and_no_new_verdict():
    record = answered()
    say(record, lesions=[accepted(0)])
    given = say(record, lesions=[outlined(0)])
    assert (given.view.version, given.new) == (2, {})
    assert Verdict.objects.count() == 1
    assert given.view.lesions[0].outline == SQUARE


def test_versions_count_for_each_author_alone():
    record = answered()
    say(record, lesions=[accepted(0)])
    say(record, lesions=[accepted(1)])
    view = say(record, lesions=[accepted(0)], by=JOHN).view
    assert view.version == 1
    assert [(row.version, row.by) for row in view.versions] == [
        (1, "user:jane"),
        (2, "user:jane"),
        (1, "user:john"),
    ]


def test_feedback_follows_latest_version_or_is_refused():
    record = answered()
    for version in (1, 7):
        with pytest.raises(FeedbackOutdated):
            say(record, lesions=[accepted(0)], version=version)
    say(record, lesions=[accepted(0)], version=0)
    say(record, lesions=[rejected(0)], version=1)
    with pytest.raises(FeedbackOutdated, match="latest version is 2"):
        say(record, lesions=[accepted(0)], version=1)
    assert (Version.objects.count(), events()) == (2, 2)


def test_lost_answer_may_be_asked_for_again_with_same_version():
    record = answered()
    first = say(record, lesions=[accepted(0)], version=0)
    assert say(record, lesions=[accepted(0)], version=0).view == first.view
    assert events() == 1


def test_missed_lesions_in_another_order_are_the_same():
    record = answered()
    missed = [{"label": "LSIL", "outline": SQUARE}, {"label": "HSIL"}]
    first = say(record, missed=missed)
    assert say(record, missed=missed[::-1]).view == first.view
    assert Version.objects.count() == 1


def test_that_nothing_was_missed_is_said_once():
    record = answered({"LSIL": 0, "HSIL": 0})
    assert mine(say(record, comment="a")).missed is None
    given = say(record, missed=[])
    assert (mine(given).missed, given.new, given.view.version) == ([], {}, 2)
    assert say(record, missed=[]).view == given.view


def test_ungradable_is_said_and_taken_back():
    record = answered()
    given = say(record, ungradable={"reason": "glare"})
    assert given.new == {"ungradable": 1}
    assert [row.reason for row in given.view.ungradable] == ["glare"]
    assert say(record, ungradable=None).view.ungradable == []
    assert Version.objects.count() == 2


def test_image_without_looked_for_lesions_may_be_called_ungradable():
    record = answered(detection_count=None, class_counts={})
    assert say(record, ungradable={"reason": "too_dark"}, comment="a").view.version == 1
    with pytest.raises(FeedbackMismatch, match="No lesions were looked for"):
        say(record, missed=[{"label": "HSIL"}])


def test_comments_of_all_are_shown_with_their_authors():
    record = answered()
    say(record, comment="a")
    view = say(record, comment="b", by=JOHN).view
    assert [(row.comment, row.by) for row in view.comments] == [
        ("a", "user:jane"),
        ("b", "user:john"),
    ]


@pytest.fixture
def old() -> Record:
    """The record of an answer that Jane judged before there were versions."""
    record = answered()
    give(record, accepted(0), relabelled(1), missed=[{"label": "HSIL", "box": [1, 2, 3, 4]}])
    Version.objects.all().delete()
    return record


def test_rows_of_before_versions_are_what_their_author_says(old):
    assert old.organisation is not None
    view = read_feedback(old.request_id, old.organisation, JANE)
    assert (view.version, view.versions) == (0, [])
    assert view.mine is not None
    assert [(lesion.id, lesion.verdict) for lesion in view.mine.lesions] == [
        (0, "accept"),
        (1, "relabel"),
    ]
    assert view.mine.missed[0].box == [1, 2, 3, 4]


def test_same_words_as_before_versions_change_nothing(old):
    give(old, accepted(0))
    assert (Version.objects.count(), events()) == (0, 1)


def test_first_version_takes_over_what_was_said_before(old):
    view = say(old, lesions=[outlined(0)], version=0).view
    assert view.version == 1
    assert [lesion.id for lesion in contents()[0].lesions] == [0, 1]
    assert (Verdict.objects.count(), Missed.objects.count()) == (2, 1)


def test_verdict_of_gateway_of_before_versions_holds_beside_outlines(old):
    say(old, lesions=[outlined(0)])
    Verdict.objects.filter(lesion=1).update(kind="accept", new_label="")
    assert old.organisation is not None
    view = read_feedback(old.request_id, old.organisation, JANE)
    assert view.mine is not None
    assert [(lesion.verdict, lesion.outline) for lesion in view.mine.lesions] == [
        ("accept", SQUARE),
        ("accept", None),
    ]


def test_outlines_of_a_version_are_bounded_together():
    record = answered()
    ring = [float(side) for point in range(400) for side in (point, point * point % 7)]
    for number in range(2):
        say(record, lesions=[accepted(number) | {"outline": [ring] * 24}])
    with pytest.raises(FeedbackMismatch, match="28800 points, and at most 20000"):
        say(record, lesions=[accepted(2) | {"outline": [ring] * 24}])
    assert Version.objects.count() == 2


def test_refused_feedback_leaves_no_version():
    record = answered()
    feedback = Feedback.model_validate({"lesions": [accepted(0, "polyp")]})
    assert record.organisation is not None
    with pytest.raises(FeedbackMismatch):
        give_feedback(record.request_id, record.organisation, feedback, JANE)
    assert not Version.objects.exists()
