"""The bodies of the feedback API."""

from collections import Counter
from datetime import datetime
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, model_validator

from pipeline.schema import Label

# More lesions than any model reports of an image.
_MOST_LESIONS = 1000
_MOST_MISSED = 100

Side = Annotated[float, Field(ge=0)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class LesionVerdict(_Body):
    """A verdict on one lesion of an answer."""

    id: int = Field(ge=0, lt=_MOST_LESIONS, description="the lesion's `id` in the answer")
    label: Label = Field(description="its `label` in the answer, which the record does not hold")
    verdict: Literal["accept", "reject", "relabel"]
    new_label: Label | None = Field(
        default=None, description="of a relabel: the class of the model that it is of"
    )

    @model_validator(mode="after")
    def _check_new_label(self) -> Self:
        if (self.verdict == "relabel") != (self.new_label is not None):
            raise ValueError("new_label goes with the verdict relabel, which needs one")
        if self.new_label == self.label:
            raise ValueError("new_label is the label of the answer")
        return self


class MissedLesions(_Body):
    """Lesions of one class that the answer lacks: their number, or one of them with its box."""

    label: Label = Field(description="a class of the model")
    count: int = Field(default=1, ge=1, le=_MOST_MISSED)
    box: list[Side] | None = Field(
        default=None,
        min_length=4,
        max_length=4,
        description="XYXY in pixels of the upright image, of one lesion",
    )

    @model_validator(mode="after")
    def _check_box(self) -> Self:
        if self.box is None:
            return self
        x1, y1, x2, y2 = self.box
        if self.count != 1 or x1 >= x2 or y1 >= y2:
            raise ValueError("a box is that of one lesion, from its upper left to its lower right")
        return self


class Feedback(_Body):
    """What the caller says about an answer.

    A verdict takes the place of the caller's earlier one on the same lesion; other lesions keep
    theirs. `missed` takes the place of all that the caller had called missed.
    """

    lesions: list[LesionVerdict] = Field(default=[], max_length=_MOST_LESIONS)
    missed: list[MissedLesions] | None = Field(
        default=None, max_length=_MOST_MISSED, description="null leaves what was given before"
    )

    @model_validator(mode="after")
    def _check_lesions(self) -> Self:
        counts = Counter(lesion.id for lesion in self.lesions)
        if repeated := [number for number, count in counts.items() if count > 1]:
            raise ValueError(f"lesion {repeated[0]} has several verdicts")
        if not self.lesions and self.missed is None:
            raise ValueError("there is neither a verdict nor a missed lesion")
        return self


class GivenVerdict(BaseModel):
    """A verdict that holds now: its author has given no later one on the lesion."""

    id: int
    label: str
    verdict: str
    new_label: str | None
    by: str = Field(description="key:<id> or user:<name>")
    at: datetime


class GivenMissed(BaseModel):
    """Missed lesions that hold now."""

    label: str
    count: int
    box: list[float] | None
    by: str
    at: datetime


class FeedbackView(BaseModel):
    """All that holds now of what was said about an answer."""

    request_id: UUID
    lesions: list[GivenVerdict]
    missed: list[GivenMissed]
