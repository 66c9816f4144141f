"""Records of answers to judge."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid4

from gateway.audit.events import Actor
from gateway.audit.models import Record, Source, State
from gateway.people.models import Organisation
from gateway.reviews.actions import Given, give_feedback
from gateway.reviews.feedback import Feedback
from tests.clinics import organisation_named

JANE, JOHN = Actor("user:jane"), Actor("user:john")
BUNDLE = "d" * 64


def answered(
    counts: Mapping[str, int] | None = None, *, organisation: str = "a clinic", **changes: Any
) -> Record:
    """Return the sealed record of an answer; by default with 3 LSIL and 2 HSIL of 3 classes."""
    classes = {"LSIL": 3, "HSIL": 2, "carcinoma": 0} if counts is None else counts
    values = {
        "request_id": uuid4(),
        "state": State.SUCCEEDED,
        "status": 200,
        "source": Source.CLIENT,
        "organisation": organisation_named(organisation),
        "bundle_sha256": BUNDLE,
        "image_width": 640,
        "image_height": 480,
        "detection_count": sum(classes.values()),
        "class_counts": classes,
    }
    record = Record(**(values | changes))
    assert Record.objects.close(record)
    return record


def accepted(number: int, label: str = "LSIL") -> dict[str, Any]:
    return {"id": number, "label": label, "verdict": "accept"}


def rejected(number: int, label: str = "LSIL") -> dict[str, Any]:
    return {"id": number, "label": label, "verdict": "reject"}


def relabelled(number: int, label: str = "LSIL", new_label: str = "HSIL") -> dict[str, Any]:
    return {"id": number, "label": label, "verdict": "relabel", "new_label": new_label}


def outlined(number: int, label: str = "LSIL") -> dict[str, Any]:
    return accepted(number, label) | {"outline": [[10, 10, 20, 10, 20, 20, 10, 20]]}


def give(record: Record, *lesions: Any, by: Actor = JANE, missed: Any = None) -> Given:
    return say(record, by=by, lesions=list(lesions), missed=missed)


def say(record: Record, by: Actor = JANE, **body: Any) -> Given:
    assert isinstance(record.organisation, Organisation)
    request_id = record.request_id
    assert isinstance(request_id, UUID)
    return give_feedback(request_id, record.organisation, Feedback.model_validate(body), by)
