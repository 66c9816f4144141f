"""The reviews of an image, found by its SHA-256 among all answers that it got."""

from collections.abc import Iterator
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from pydantic import BaseModel, Field

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event, Record
from gateway.people.models import Organisation
from gateway.reviews.actions import record_of
from gateway.reviews.standing import Standing, reviewed_records, standings_by_record


class ImageReview(BaseModel):
    """One person's review of an answer on the image, and the model that the answer is of.

    What was said is the answer of `GET /records/{request_id}/feedback`.
    """

    request_id: UUID
    by: str = Field(description="key:<id> or user:<name>")
    mine: bool = Field(description="whether it is the caller's own")
    at: datetime = Field(description="when the latest of it was said")
    version: int = Field(description="its latest, 0 for feedback of before there were versions")
    model_name: str
    model_version: str
    model_engine: str
    model_precision: str
    bundle_sha256: str
    score_threshold: float | None = Field(description="that was asked for, or the model's own")
    class_counts: dict[str, int] = Field(description="the lesions of the answer by class")


class ImageReviews(BaseModel):
    """A page of the reviews of an image, those of the latest answer first."""

    image_sha256: str
    reviews: list[ImageReview]
    next: UUID | None = Field(description="`before` of the next page, null on the last one")


def read_image_reviews(
    sha256: str, organisation: Organisation, by: Actor, *, before: UUID | None, limit: int
) -> ImageReviews:
    """Return who reviewed the organisation's answers on an image, and write the event; blocking.

    before: the request id of an answer; only earlier ones are looked at. limit: of answers. Raise
    NotFound where `before` is no request of the organisation.
    """
    record_event(Event.Action.RECORD_READ, by, organisation, f"feedback:sha256:{sha256}")
    records = reviewed_records().filter(organisation=organisation, image_sha256=sha256)
    if before is not None:
        records = _earlier(records, record_of(before, organisation))
    page = list(records.order_by("-received_at", "-pk")[: limit + 1])
    shown = page[:limit]
    return ImageReviews(
        image_sha256=sha256,
        reviews=list(_reviews(shown, by.name)),
        next=shown[-1].request_id if len(page) > limit else None,
    )


def _earlier(records: QuerySet[Record], record: Record) -> QuerySet[Record]:
    at_once = Q(received_at=record.received_at, pk__lt=record.pk)
    return records.filter(Q(received_at__lt=record.received_at) | at_once)


def _reviews(records: list[Record], caller: str) -> Iterator[ImageReview]:
    standings = standings_by_record(records)
    for record in records:
        latest_first = sorted(standings[record.pk], key=lambda each: each.at, reverse=True)
        for standing in latest_first:
            yield _review(record, standing, caller)


def _review(record: Record, standing: Standing, caller: str) -> ImageReview:
    asked = (record.options or {}).get("score_threshold")
    return ImageReview(
        request_id=record.request_id,
        by=standing.author,
        mine=standing.author == caller,
        at=standing.at,
        version=standing.version,
        model_name=record.model_name,
        model_version=record.model_version,
        model_engine=record.model_engine,
        model_precision=record.model_precision,
        bundle_sha256=record.bundle_sha256,
        score_threshold=record.model_score_threshold if asked is None else asked,
        class_counts=record.class_counts,
    )
