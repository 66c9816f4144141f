"""What is said about an answer: kept and its event written, in one transaction."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event, Record, Source, State
from gateway.errors import FeedbackMismatch, NotFound
from gateway.people.models import Organisation
from gateway.reviews.feedback import (
    Feedback,
    FeedbackView,
    GivenMissed,
    GivenVerdict,
    LesionVerdict,
    MissedLesions,
)
from gateway.reviews.metrics import MISSED
from gateway.reviews.models import Missed, Verdict
from pipeline.text import quoted


@dataclass(frozen=True, slots=True)
class Given:
    """All that holds now of what was said about an answer, and how much of it is new.

    new: the number of verdicts of each kind that were not given before, and of missed lesions where
    these are others than before.
    """

    view: FeedbackView
    new: Mapping[str, int]


def give_feedback(
    request_id: UUID, organisation: Organisation, feedback: Feedback, by: Actor
) -> Given:
    """Keep what the caller says about an answer, and write its event; blocking.

    What the caller said before in the same words changes nothing and writes no event. Raise
    NotFound, and FeedbackMismatch where the feedback does not fit the record of the answer.
    """
    with transaction.atomic():
        record = _record_of(request_id, organisation, for_update=True)
        _check(record, feedback, by.name)
        new: Counter[str] = Counter(
            verdict.verdict
            for verdict in feedback.lesions
            if _keep_verdict(record, verdict, by.name)
        )
        if feedback.missed is not None and _keep_missed(record, feedback.missed, by.name):
            new[MISSED] = sum(missed.count for missed in feedback.missed)
        if new:
            counts = " ".join(f"{kind}:{count}" for kind, count in sorted(new.items()))
            subject = f"record:{record.request_id} {counts}"
            record_event(Event.Action.FEEDBACK_GIVEN, by, organisation, subject)
        return Given(_view_of(record), new)


def read_feedback(request_id: UUID, organisation: Organisation, by: Actor) -> FeedbackView:
    """Return what holds now, and write the event of the reading; blocking. Raise NotFound."""
    record_event(Event.Action.RECORD_READ, by, organisation, f"feedback:{request_id}")
    return _view_of(_record_of(request_id, organisation))


def _record_of(request_id: UUID, organisation: Organisation, *, for_update: bool = False) -> Record:
    records = Record.objects.filter(request_id=request_id, organisation=organisation)
    # Locked, so that two verdicts at once do not exceed the lesions of a class together.
    record = (records.select_for_update() if for_update else records).first()
    if record is None:
        raise NotFound("There is no such record.")
    return record


def _check(record: Record, feedback: Feedback, author: str) -> None:
    """Raise FeedbackMismatch unless the record can be of an answer with these lesions."""
    if record.state != State.SUCCEEDED:
        raise FeedbackMismatch("The request has no answer, so there is nothing to judge.")
    if record.source == Source.PROBE:
        raise FeedbackMismatch("The request was a test of the service with an image of its own.")
    if record.detection_count is None:
        raise FeedbackMismatch("No lesions were looked for in this image.")
    labels = [verdict.label for verdict in feedback.lesions]
    labels += [verdict.new_label for verdict in feedback.lesions if verdict.new_label is not None]
    labels += [missed.label for missed in feedback.missed or ()]
    for label in labels:
        if label not in record.class_counts:
            raise FeedbackMismatch(f"The model has no class {quoted(label)}.")
    _check_lesions(record, record.detection_count, feedback, author)
    for missed in feedback.missed or ():
        _check_box(record, missed)


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


def _check_box(record: Record, missed: MissedLesions) -> None:
    sides = record.image_width or 0, record.image_height or 0
    if missed.box is not None and (missed.box[2] > sides[0] or missed.box[3] > sides[1]):
        raise FeedbackMismatch(
            f"A box reaches beyond the upright image of {sides[0]}x{sides[1]} pixels."
        )


def _keep_verdict(record: Record, verdict: LesionVerdict, author: str) -> bool:
    """Return False where the verdict holds already."""
    of_lesion = Verdict.objects.filter(
        record=record, author=author, lesion=verdict.id, replaced_at=None
    )
    values = {
        "label": verdict.label,
        "kind": verdict.verdict,
        "new_label": verdict.new_label or "",
    }
    if of_lesion.filter(**values).exists():
        return False
    now = timezone.now()
    of_lesion.update(replaced_at=now)
    Verdict.objects.create(record=record, author=author, lesion=verdict.id, at=now, **values)
    return True


def _keep_missed(record: Record, missed: list[MissedLesions], author: str) -> bool:
    """Return False where exactly these lesions are called missed already."""
    before = Missed.objects.filter(record=record, author=author, replaced_at=None)
    rows = [(each.label, each.count, each.box) for each in missed]
    if sorted(before.values_list("label", "count", "box"), key=repr) == sorted(rows, key=repr):
        return False
    now = timezone.now()
    before.update(replaced_at=now)
    Missed.objects.bulk_create(
        Missed(record=record, author=author, at=now, label=label, count=count, box=box)
        for label, count, box in rows
    )
    return True


def _view_of(record: Record) -> FeedbackView:
    verdicts = Verdict.objects.filter(record=record, replaced_at=None)
    missed = Missed.objects.filter(record=record, replaced_at=None)
    return FeedbackView(
        request_id=record.request_id,
        lesions=[
            GivenVerdict(
                id=row.lesion,
                label=row.label,
                verdict=row.kind,
                new_label=row.new_label or None,
                by=row.author,
                at=row.at,
            )
            for row in verdicts.order_by("lesion", "author")
        ],
        missed=[
            GivenMissed(label=row.label, count=row.count, box=row.box, by=row.author, at=row.at)
            for row in missed.order_by("author", "pk")
        ],
    )
