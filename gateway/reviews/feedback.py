"""What is said about an answer: the body of the feedback API, and all that one author says."""

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from gateway.reviews.outlines import Box, Outline, Side, bounds_of
from pipeline.image.gradability import Reason as QualityReason
from pipeline.schema import Label

# More lesions than any model reports of an image.
_MOST_LESIONS = 1000
_MOST_MISSED = 100
LONGEST_COMMENT = 500

# The reasons of `quality.reasons` in answers, and any other.
Reason = Literal[QualityReason, "other"]

# Unicode's categories of control characters, surrogates, and separators of lines and paragraphs.
_NO_TEXT = frozenset({"Cc", "Cs", "Zl", "Zp"})
# What reverses the text behind it, on a page and in a terminal.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def _plain(text: str) -> str:
    """Return the text. Raise ValueError where a character of it is none to read."""
    if any(unicodedata.category(letter) in _NO_TEXT or letter in _DIRECTIONS for letter in text):
        raise ValueError("a comment is one line without control characters")
    return text


Comment = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=LONGEST_COMMENT),
    AfterValidator(_plain),
]


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
    outline: Outline | None = Field(
        default=None,
        description=(
            "of a lesion that is accepted or relabelled: its outline as COCO's segmentation, lists "
            "of x and y in pixels of the upright image; the model's own, or a corrected one"
        ),
    )

    @model_validator(mode="after")
    def _check_new_label(self) -> Self:
        if (self.verdict == "relabel") != (self.new_label is not None):
            raise ValueError("new_label goes with the verdict relabel, which needs one")
        if self.new_label == self.label:
            raise ValueError("new_label is the label of the answer")
        if self.verdict == "reject" and self.outline is not None:
            raise ValueError("what is no lesion has no outline")
        return self

    @property
    def true_label(self) -> str | None:
        """Return the class that the lesion is of; None for what is no lesion."""
        return None if self.verdict == "reject" else self.new_label or self.label


class MissedLesions(_Body):
    """Lesions of one class that the answer lacks: their number, or one with its box or outline."""

    label: Label = Field(description="a class of the model")
    count: int = Field(default=1, ge=1, le=_MOST_MISSED)
    box: list[Side] | None = Field(
        default=None,
        min_length=4,
        max_length=4,
        description="XYXY in pixels of the upright image, of one lesion",
    )
    outline: Outline | None = Field(
        default=None, description="of one lesion, as above; its box follows from it"
    )

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.box is not None and self.outline is not None:
            raise ValueError("the box follows from the outline: give one of them")
        if self.box is None and self.outline is None:
            return self
        if self.count != 1:
            raise ValueError("a box or an outline is that of one lesion")
        if self.box is not None:
            x1, y1, x2, y2 = self.box
            if x1 >= x2 or y1 >= y2:
                raise ValueError("a box is from its upper left to its lower right")
        return self

    @property
    def bounds(self) -> Box | None:
        """Return the box, or that of the outline; None where the place is not known."""
        if self.outline is not None:
            return bounds_of(self.outline)
        return None if self.box is None else (self.box[0], self.box[1], self.box[2], self.box[3])


def in_order(missed: Iterable[MissedLesions]) -> list[MissedLesions]:
    """Return the missed lesions in an order that follows from what they are."""
    return sorted(missed, key=lambda each: each.model_dump_json())


class Ungradable(_Body):
    """The image itself cannot be judged."""

    reason: Reason


class Content(_Body):
    """All that one author says about an answer, in the shape of the body."""

    lesions: list[LesionVerdict] = []
    missed: list[MissedLesions] | None = Field(
        default=None, description="null: the author did not say whether any were missed"
    )
    ungradable: Ungradable | None = None
    comment: Comment | None = Field(
        default=None, description="one line. Never write a patient's name or number"
    )


class Feedback(_Body):
    """What the caller says about an answer.

    A verdict takes the place of the caller's earlier one on the same lesion; other lesions keep
    theirs. `missed` takes the place of all that the caller had called missed; an empty list says
    that there is none. `ungradable` and
    `comment` stay as they were where they are left out, and are taken back by null.
    """

    lesions: list[LesionVerdict] = Field(default=[], max_length=_MOST_LESIONS)
    missed: list[MissedLesions] | None = Field(
        default=None, max_length=_MOST_MISSED, description="null leaves what was given before"
    )
    ungradable: Ungradable | None = Field(
        default=None, description="the image cannot be judged, and why; null takes it back"
    )
    comment: Comment | None = Field(
        default=None,
        description=(
            f"one line of at most {LONGEST_COMMENT} characters, kept with the record and shown to "
            "your organisation. **Never write a patient's name or number.** null takes it back"
        ),
    )
    version: int | None = Field(
        default=None,
        ge=0,
        le=1_000_000_000,
        description=(
            "of the caller's feedback that this one follows, 0 for none: a 409 where it is no "
            "longer the latest; null follows whatever there is"
        ),
    )

    @model_validator(mode="after")
    def _check_lesions(self) -> Self:
        counts = Counter(lesion.id for lesion in self.lesions)
        if repeated := [number for number, count in counts.items() if count > 1]:
            raise ValueError(f"lesion {repeated[0]} has several verdicts")
        said = self.model_fields_set & {"ungradable", "comment"}
        if not self.lesions and self.missed is None and not said:
            raise ValueError("nothing is said: give a verdict, missed lesions or a comment")
        return self

    def after(self, before: Content) -> Content:
        """Return what the author says with this feedback, who said `before`."""
        lesions = {lesion.id: lesion for lesion in (*before.lesions, *self.lesions)}
        said = self.model_fields_set
        return Content(
            lesions=[lesions[number] for number in sorted(lesions)],
            missed=before.missed if self.missed is None else in_order(self.missed),
            ungradable=self.ungradable if "ungradable" in said else before.ungradable,
            comment=self.comment if "comment" in said else before.comment,
        )
