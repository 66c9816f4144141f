"""Who reviewed an image before: of the same file and the same organisation only."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from gateway.audit.models import Event, Record
from gateway.errors import NotFound
from gateway.reviews.of_image import ImageReviews, read_image_reviews
from tests.clinics import organisation_named
from tests.unit.gateway.reviews.records import BUNDLE, JANE, JOHN, accepted, answered, give, say

pytestmark = pytest.mark.django_db

IMAGE, OTHER = "a" * 64, "b" * 64
AT = datetime(2026, 11, 27, 8, 30, tzinfo=UTC)


def reviewed(minutes: int = 0, image: str = IMAGE, **changes: Any) -> Record:
    """Return the record of an answer that came so many minutes later, judged by jane."""
    received = AT + timedelta(minutes=minutes)
    record = answered(image_sha256=image, received_at=received, **changes)
    give(record, accepted(0))
    return record


def read(organisation: str = "a clinic", **changes: Any) -> ImageReviews:
    place = organisation_named(organisation)
    return read_image_reviews(IMAGE, place, JANE, **({"before": None, "limit": 20} | changes))


def test_reviews_name_author_version_and_model():
    record = reviewed(model_name="cervix", model_version="3.1", model_score_threshold=0.4)
    say(record, by=JOHN, ungradable={"reason": "glare"})
    mine, johns = sorted(read().reviews, key=lambda review: review.by)
    assert (mine.by, mine.mine, johns.by, johns.mine) == ("user:jane", True, "user:john", False)
    assert (mine.request_id, mine.version, mine.bundle_sha256) == (record.request_id, 1, BUNDLE)
    assert (mine.model_name, mine.model_version, mine.score_threshold) == ("cervix", "3.1", 0.4)
    assert mine.class_counts == {"LSIL": 3, "HSIL": 2, "carcinoma": 0}


def test_asked_threshold_stands_before_the_models_own():
    reviewed(model_score_threshold=0.4, options={"score_threshold": 0.6})
    assert [review.score_threshold for review in read().reviews] == [0.6]


def test_other_images_and_answers_without_review_are_left_out():
    reviewed(image=OTHER)
    reviewed(image="")
    answered(image_sha256=IMAGE)
    assert read().reviews == []


def test_reviews_of_another_organisation_are_not_seen():
    reviewed(organisation="elsewhere")
    record = reviewed()
    assert [review.request_id for review in read().reviews] == [record.request_id]
    assert [review.mine for review in read("elsewhere").reviews] == [True]
    assert read("a third").reviews == []


def test_pages_go_through_all_answers_once_the_latest_first():
    # Two at the same time, so that time alone does not say which comes next.
    records = [reviewed(minutes) for minutes in (0, 1, 1, 2)]
    seen, before = [], None
    while True:
        page = read(before=before, limit=1)
        seen += [review.request_id for review in page.reviews]
        before = page.next
        if before is None:
            break
    assert seen == [record.request_id for record in reversed(records)]


def test_page_before_answer_of_another_organisation_is_refused():
    theirs = reviewed(organisation="elsewhere")
    for before in (theirs.request_id, uuid4()):
        with pytest.raises(NotFound):
            read(before=before)


def test_reading_is_an_event_that_names_the_image():
    read()
    (event,) = Event.objects.filter(action=Event.Action.RECORD_READ)
    assert (event.actor, event.subject) == ("user:jane", f"feedback:sha256:{IMAGE}")


def test_number_of_queries_does_not_grow_with_the_answers():
    counts = []
    for _ in range(2):
        reviewed()
        with CaptureQueriesContext(connection) as queries:
            read()
        counts.append(len(queries))
    assert counts[0] == counts[1]
