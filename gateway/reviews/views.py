"""The answers of the feedback API."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from gateway.reviews.feedback import Content
from gateway.reviews.models import Version
from gateway.reviews.outlines import Outline
from gateway.reviews.standing import Standing


class _Given(BaseModel):
    by: str = Field(description="key:<id> or user:<name>")
    at: datetime


class GivenVerdict(_Given):
    """A verdict that holds now: its author has given no later one on the lesion."""

    id: int
    label: str
    verdict: str
    new_label: str | None
    outline: Outline | None


class GivenMissed(_Given):
    """Missed lesions that hold now."""

    label: str
    count: int
    box: list[float] | None
    outline: Outline | None


class GivenUngradable(_Given):
    """Somebody says that the image cannot be judged; `at` is that of the latest version."""

    reason: str


class GivenComment(_Given):
    """A comment that holds now; `at` is that of the latest version."""

    comment: str


class GivenVersion(_Given):
    """One version of what one author said."""

    version: int


class FeedbackView(BaseModel):
    """All that holds now of what was said about an answer."""

    request_id: UUID
    lesions: list[GivenVerdict]
    missed: list[GivenMissed]
    ungradable: list[GivenUngradable]
    comments: list[GivenComment]
    version: int = Field(description="the latest of the caller's own, 0 for none")
    mine: Content | None = Field(description="what the caller said, in the shape of the body")
    versions: list[GivenVersion] = Field(description="of everybody, in the order of their times")


def view_of(
    request_id: UUID, standings: Sequence[Standing], versions: Sequence[Version], caller: str
) -> FeedbackView:
    """Return the view for the caller, of what each author says and of all versions."""
    mine = next((each for each in standings if each.author == caller), None)
    lesions = [verdict for standing in standings for verdict in _verdicts(standing)]
    return FeedbackView(
        request_id=request_id,
        lesions=sorted(lesions, key=lambda verdict: (verdict.id, verdict.by)),
        missed=[missed for standing in standings for missed in _missed(standing)],
        ungradable=[
            GivenUngradable(reason=each.content.ungradable.reason, by=each.author, at=each.at)
            for each in standings
            if each.content.ungradable is not None
        ],
        comments=[
            GivenComment(comment=each.content.comment, by=each.author, at=each.at)
            for each in standings
            if each.content.comment is not None
        ],
        version=0 if mine is None else mine.version,
        mine=None if mine is None else mine.content,
        versions=[GivenVersion(version=row.number, by=row.author, at=row.at) for row in versions],
    )


def _verdicts(standing: Standing) -> list[GivenVerdict]:
    return [
        GivenVerdict(**lesion.model_dump(), by=standing.author, at=standing.verdict_at[lesion.id])
        for lesion in standing.content.lesions
    ]


def _missed(standing: Standing) -> list[GivenMissed]:
    return [
        GivenMissed(**missed.model_dump(), by=standing.author, at=standing.missed_at or standing.at)
        for missed in standing.content.missed or ()
    ]
