"""Whether feedback can be about the answer of a record, which holds counts and no lesion."""

from collections import Counter

from gateway.audit.models import Record, Source, State
from gateway.errors import FeedbackMismatch
from gateway.reviews.feedback import Content, Feedback
from gateway.reviews.models import Verdict
from gateway.reviews.outlines import Box, bounds_of, point_count
from pipeline.text import quoted

# Of all outlines of one author, which each version holds again: some 300 kB.
MOST_POINTS_IN_ALL = 20_000


def check_fit(record: Record, feedback: Feedback, author: str) -> None:
    """Raise FeedbackMismatch unless the record can be of an answer with these lesions; blocking."""
    if record.state != State.SUCCEEDED:
        raise FeedbackMismatch("The request has no answer, so there is nothing to judge.")
    if record.source == Source.PROBE:
        raise FeedbackMismatch("The request was a test of the service with an image of its own.")
    if not feedback.lesions and not feedback.missed:
        return
    if record.detection_count is None:
        raise FeedbackMismatch("No lesions were looked for in this image.")
    for label in _labels(feedback):
        if label not in record.class_counts:
            raise FeedbackMismatch(f"The model has no class {quoted(label)}.")
    _check_lesions(record, record.detection_count, feedback, author)
    for bounds in _all_bounds(feedback):
        _check_bounds(record, bounds)


def check_size(content: Content) -> None:
    """Raise FeedbackMismatch for outlines that are too large to be kept again with each version."""
    outlines = [each.outline for each in (*content.lesions, *(content.missed or ()))]
    points = sum(point_count(outline) for outline in outlines if outline is not None)
    if points > MOST_POINTS_IN_ALL:
        raise FeedbackMismatch(
            f"Your outlines of this answer would have {points} points, and at most "
            f"{MOST_POINTS_IN_ALL} are kept; simplify them."
        )


def _labels(feedback: Feedback) -> list[str]:
    labels = [verdict.label for verdict in feedback.lesions]
    labels += [verdict.new_label for verdict in feedback.lesions if verdict.new_label is not None]
    return labels + [missed.label for missed in feedback.missed or ()]


def _check_lesions(record: Record, lesions: int, feedback: Feedback, author: str) -> None:
    """Compare the classes of the lesions with the record, and with everybody's other verdicts."""
    said = {verdict.id: verdict.label for verdict in feedback.lesions}
    before = Verdict.objects.filter(record=record, replaced_at=None)
    others = dict(before.exclude(author=author, lesion__in=said).values_list("lesion", "label"))
    for number, label in said.items():
        if number >= lesions:
            raise FeedbackMismatch(
                f"There is no lesion {number}: the answer has {lesions}, counted from 0."
            )
        if others.get(number, label) != label:
            raise FeedbackMismatch(
                f"Lesion {number} was judged before as {quoted(others[number])}, not as "
                f"{quoted(label)}; the label is that of the answer."
            )
    for label, count in Counter((others | said).values()).items():
        if count > record.class_counts.get(label, 0):
            raise FeedbackMismatch(
                f"The answer has {record.class_counts.get(label, 0)} of the class "
                f"{quoted(label)}, and {count} would be judged."
            )


def _all_bounds(feedback: Feedback) -> list[Box]:
    outlines = [verdict.outline for verdict in feedback.lesions if verdict.outline is not None]
    places = [missed.bounds for missed in feedback.missed or ()]
    return [*map(bounds_of, outlines), *(place for place in places if place is not None)]


def _check_bounds(record: Record, bounds: Box) -> None:
    width, height = record.image_width or 0, record.image_height or 0
    if bounds[2] > width or bounds[3] > height:
        raise FeedbackMismatch(
            f"A box or an outline reaches beyond the upright image of {width}x{height} pixels."
        )
