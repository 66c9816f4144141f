"""Images with what their reviewers said, as training needs it: the lesions that are there.

What the model found is known by its verdict, and by the outline that came with the verdict: neither
image nor lesions of an answer are kept. A review without each verdict and each outline has gaps. It
is no ground truth of its image, since a lesion without an outline would be taught as background.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from gateway.audit.models import Record
from gateway.reviews.feedback import Content
from gateway.reviews.outlines import Box, bounds_of
from gateway.reviews.standing import Standing
from pipeline.text import counted


@dataclass(frozen=True, slots=True)
class Annotation:
    """A lesion that a reviewer says is there.

    origin: `accept` or `relabel` of a lesion of the model, or `missed`. lesion: its id in the
    answer, None for a missed one. outline: None for a missed one of which the box alone is known.
    """

    label: str
    origin: str
    lesion: int | None
    box: Box
    outline: list[list[float]] | None


@dataclass(frozen=True, slots=True)
class Review:
    """What one reviewer said of one answer; without the comment, which nobody trains on.

    ungradable: the reason, or None. gaps: what it lacks to be the truth of its image.
    """

    reviewer: str
    version: int
    at: datetime
    request_id: UUID
    model: str
    bundle_sha256: str
    ungradable: str | None
    annotations: tuple[Annotation, ...]
    gaps: tuple[str, ...]

    @property
    def opinion(self) -> tuple[bool, Counter[str]]:
        """Return what reviewers agree or disagree on: ungradable, and lesions of each class."""
        return self.ungradable is not None, Counter(each.label for each in self.annotations)


@dataclass(frozen=True, slots=True)
class ReviewedImage:
    """An image with its reviews, the latest last.

    file_name: of the hospital's own file where that is known, or else the digest.
    """

    sha256: str
    width: int
    height: int
    file_name: str
    reviews: tuple[Review, ...]

    @property
    def latest(self) -> Review:
        """Return the review that counts where a format holds one for each image."""
        return self.reviews[-1]

    @property
    def is_agreed(self) -> bool:
        """Return whether all reviewers see the same number of lesions of each class."""
        return all(review.opinion == self.latest.opinion for review in self.reviews)


def review_of(record: Record, standing: Standing) -> Review:
    """Return what an author says of an answer."""
    content = standing.content
    ungradable = None if content.ungradable is None else content.ungradable.reason
    return Review(
        reviewer=standing.author,
        version=standing.version,
        at=standing.at,
        request_id=record.request_id,
        model=f"{record.model_name} {record.model_version}",
        bundle_sha256=record.bundle_sha256,
        ungradable=ungradable,
        annotations=() if ungradable else tuple(_annotations(content)),
        gaps=() if ungradable else tuple(_gaps(record, content)),
    )


def _annotations(content: Content) -> Iterator[Annotation]:
    for lesion in content.lesions:
        if lesion.true_label is not None and lesion.outline is not None:
            box = bounds_of(lesion.outline)
            yield Annotation(lesion.true_label, lesion.verdict, lesion.id, box, lesion.outline)
    for missed in content.missed or ():
        if missed.bounds is not None:
            yield Annotation(missed.label, "missed", None, missed.bounds, missed.outline)


def _gaps(record: Record, content: Content) -> Iterator[str]:
    if record.detection_count is None:
        yield "no lesions were looked for"
        return
    if unjudged := record.detection_count - len(content.lesions):
        yield f"without a verdict: {counted(unjudged, 'lesion')}"
    there = [lesion for lesion in content.lesions if lesion.true_label is not None]
    if bare := sum(lesion.outline is None for lesion in there):
        yield f"a verdict alone, without an outline: {counted(bare, 'lesion')}"
    if content.missed is None:
        yield "it does not say whether lesions were missed"
        return
    if boxed := sum(missed.box is not None for missed in content.missed):
        yield f"a box alone: {counted(boxed, 'missed lesion')}"
    if unplaced := sum(missed.count for missed in content.missed if missed.bounds is None):
        yield f"without a place: {counted(unplaced, 'missed lesion')}"
