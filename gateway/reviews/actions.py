"""What is said about an answer: kept and its event written, in one transaction."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from gateway.audit.chain import canonical
from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event, Record
from gateway.errors import FeedbackOutdated, NotFound
from gateway.people.models import Organisation
from gateway.reviews.feedback import Content, Feedback, LesionVerdict, MissedLesions
from gateway.reviews.fit import check_fit, check_size
from gateway.reviews.metrics import MISSED, UNGRADABLE
from gateway.reviews.models import Missed, Verdict, Version
from gateway.reviews.sealing import subject_of
from gateway.reviews.standing import Standing, row_box, standing_of, standings_of
from gateway.reviews.views import FeedbackView, view_of


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
    """Keep what the caller says about an answer as a version, and seal its event; blocking.

    What the caller said before in the same words changes nothing and writes no event. Raise
    NotFound, FeedbackMismatch where the feedback does not fit the record of the answer, and
    FeedbackOutdated where it follows another version than the caller's latest.
    """
    with transaction.atomic():
        record = record_of(request_id, organisation, for_update=True)
        check_fit(record, feedback, by.name)
        before = standing_of(record, by.name)
        content = feedback.after(before.content)
        if content == before.content:
            return Given(_view(record, by.name), {})
        _check_version(feedback, before)
        check_size(content)
        new = _keep(record, before.content, content, by.name)
        version = Version.objects.create(
            record=record,
            author=by.name,
            number=before.version + 1,
            content=canonical(content.model_dump(mode="json")).decode(),
        )
        subject = subject_of(record.request_id, version, new)
        record_event(Event.Action.FEEDBACK_GIVEN, by, organisation, subject)
        return Given(_view(record, by.name), new)


def read_feedback(request_id: UUID, organisation: Organisation, by: Actor) -> FeedbackView:
    """Return what holds now, and write the event of the reading; blocking. Raise NotFound."""
    record_event(Event.Action.RECORD_READ, by, organisation, f"feedback:{request_id}")
    return _view(record_of(request_id, organisation), by.name)


def record_of(request_id: UUID, organisation: Organisation, *, for_update: bool = False) -> Record:
    """Return the organisation's record of a request; blocking. Raise NotFound."""
    records = Record.objects.filter(request_id=request_id, organisation=organisation)
    # Locked, so that two verdicts at once do not exceed the lesions of a class together, and two
    # versions do not follow the same one.
    record = (records.select_for_update() if for_update else records).first()
    if record is None:
        raise NotFound("There is no such record.")
    return record


def _check_version(feedback: Feedback, before: Standing) -> None:
    if feedback.version is not None and feedback.version != before.version:
        raise FeedbackOutdated(
            f"Your latest version is {before.version}, and this feedback follows "
            f"{feedback.version}. Read what you gave, and send it again with that version."
        )


def _keep(record: Record, before: Content, content: Content, author: str) -> Mapping[str, int]:
    """Write the rows that are counted. Return the number of what is new, by its kind."""
    changed = [verdict for verdict in content.lesions if verdict not in before.lesions]
    new: Counter[str] = Counter(
        verdict.verdict for verdict in changed if _keep_verdict(record, verdict, author)
    )
    missed = content.missed or []
    if content.missed != before.missed and _keep_missed(record, missed, author):
        new[MISSED] = sum(each.count for each in missed)
    if content.ungradable is not None and content.ungradable != before.ungradable:
        new[UNGRADABLE] = 1
    return new


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
    rows = [(each.label, each.count, row_box(each)) for each in missed]
    if sorted(before.values_list("label", "count", "box"), key=repr) == sorted(rows, key=repr):
        return False
    now = timezone.now()
    before.update(replaced_at=now)
    Missed.objects.bulk_create(
        Missed(record=record, author=author, at=now, label=label, count=count, box=box)
        for label, count, box in rows
    )
    return True


def _view(record: Record, caller: str) -> FeedbackView:
    versions = list(Version.objects.filter(record=record).order_by("at", "pk"))
    return view_of(record.request_id, standings_of(record), versions, caller)
