"""The report on one answer: read, with its event, and written as PDF."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args
from uuid import UUID

from django.utils.translation import get_language, override

from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event, Record, State
from gateway.errors import NotFound
from gateway.monitor.stored_profiles import stored_classes, stored_labels
from gateway.people.models import Organisation
from gateway.reviews.actions import record_of
from gateway.reviews.report.content import Content, content_of
from gateway.reviews.report.words import Labels
from gateway.reviews.standing import standings_of

Language = Literal["en", "es", "fr", "pt", "sw"]


@dataclass(frozen=True, slots=True)
class Report:
    """What a report says, and the time of what is newest in it."""

    content: Content
    at: datetime


def read_report(
    request_id: UUID, organisation: Organisation, by: Actor, language: Language
) -> Report:
    """Return the report on an answer, and write the event of the reading; blocking.

    Raise NotFound for a request of another organisation, and for one without an answer.
    """
    record_event(Event.Action.RECORD_READ, by, organisation, f"report:{request_id}")
    record = record_of(request_id, organisation)
    if record.state != State.SUCCEEDED:
        raise NotFound("The request has no answer, so there is nothing to report.")
    return _report(record, language)


def _report(record: Record, language: Language) -> Report:
    standings = standings_of(record)
    with override(language):
        digest = record.bundle_sha256
        labels = Labels(stored_labels(digest, language), stored_classes(digest))
        content = content_of(record, standings, labels, language)
    times = [record.finished_at or record.received_at, *(each.at for each in standings)]
    return Report(content, max(times))


def active_language() -> Language:
    """Return the language of the request as far as reports are in it, or else English."""
    active = (get_language() or "en").partition("-")[0]
    languages: tuple[Language, ...] = get_args(Language)
    return next((language for language in languages if language == active), "en")
