"""The audit trail as audit messages of DICOM PS3.15 A.5, as IHE ATNA uses them.

Codes of events and roles are those of DICOM's Context Groups 400 to 403 (`DCM`); events without one
have an event type of our own (`lesionserve`).
"""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from xml.etree.ElementTree import Element, SubElement, tostring  # nosec B405, only written

from gateway.audit.models import Event, Record, Source, State

_SOURCE = "lesionserve"

# Characters that XML cannot hold, or that some reader takes for a line end.
_NO_TEXT = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff]")

# DCM code, its meaning and the action (Create, Read, Update, Delete, Execute)
_IMPORT = ("110107", "Import", "C")
_ALERT = ("110113", "Security Alert", "E")
_ACTIVITY = ("110100", "Application Activity", "E")
_USED = ("110101", "Audit Log Used", "R")
_AUTHENTICATION = ("110114", "User Authentication", "E")

_Action = Event.Action
# Complete: a test checks that every action has an entry.
CODES = {
    _Action.USAGE_READ: _USED,
    _Action.RECORD_READ: _USED,
    _Action.EVENT_READ: _USED,
    _Action.AUDIT_EXPORTED: _USED,
    _Action.AUDIT_PRUNED: ("110101", "Audit Log Used", "D"),
    _Action.DATABASE_RESTORED: ("110101", "Audit Log Used", "U"),
    _Action.SESSION_BEGAN: _AUTHENTICATION,
    _Action.SESSION_ENDED: _AUTHENTICATION,
    _Action.SESSION_REFUSED: _AUTHENTICATION,
    # Security attributes of a user changed, which DICOM counts among the alerts.
    _Action.KEY_ISSUED: _ALERT,
    _Action.KEY_ROTATED: _ALERT,
    _Action.KEY_REVOKED: _ALERT,
    _Action.PERSON_ADDED: _ALERT,
    _Action.PERSON_CHANGED: _ALERT,
    _Action.PERSON_REMOVED: _ALERT,
    _Action.ORGANISATION_ADDED: _ALERT,
    _Action.ORGANISATION_CHANGED: _ALERT,
    _Action.ORGANISATION_REMOVED: _ALERT,
    # Of the service, not of its security.
    _Action.ALERT_FIRED: _ACTIVITY,
    _Action.ALERT_RESOLVED: _ACTIVITY,
    _Action.WATCH_ALARMED: _ACTIVITY,
    _Action.WATCH_ACKNOWLEDGED: _ACTIVITY,
    _Action.OBSERVATIONS_EXPORTED: _USED,
    _Action.FEEDBACK_GIVEN: _ACTIVITY,
    _Action.FEEDBACK_EXPORTED: _USED,
    _Action.ROLLOUT_STARTED: _ACTIVITY,
    _Action.ROLLOUT_PROMOTED: _ACTIVITY,
    _Action.ROLLOUT_ABORTED: _ACTIVITY,
    _Action.ROLLOUT_ROLLED_BACK: _ACTIVITY,
}

_FAILURES = (_Action.SESSION_REFUSED, _Action.ALERT_FIRED, _Action.ROLLOUT_ROLLED_BACK)

# EventOutcomeIndicator: success, minor failure (what the client sent), serious failure (ours).
_SUCCESS, _MINOR, _SERIOUS = "0", "4", "8"


def line(row: Record | Event) -> str:
    """Return one AuditMessage on one line."""
    message = _of_record(row) if isinstance(row, Record) else _of_event(row)
    for element in message.iter():
        for name, value in element.items():
            element.set(name, _NO_TEXT.sub("\ufffd", value))
    return tostring(message, encoding="unicode")


def _of_record(record: Record) -> Element:
    refused = record.status in (401, 403) or record.error_code == "upstream_distrusted"
    message = _message(
        _ALERT if refused else _IMPORT,
        f"request.{record.state}",
        record.finished_at or record.received_at,
        _outcome(record),
    )
    _participant(message, record.caller or "unknown", record.address, _organisation(record))
    _source(message)
    # Type 2: a system object; role 3: a report; identified by the record's request id.
    participant = _object(message, f"request:{record.request_id}", "2", "3")
    for type_, value in _details(record):
        SubElement(participant, "ParticipantObjectDetail", type=type_, value=_base64(value))
    return message


def _details(record: Record) -> Iterator[tuple[str, str]]:
    if record.source != Source.CLIENT:
        yield "source", record.source
    if record.correlation_id:
        yield "correlation_id", record.correlation_id
    if record.image_sha256:
        yield "image_sha256", record.image_sha256
    if record.options is not None:
        yield "options", json.dumps(record.options, sort_keys=True)
    if record.model_name:
        yield "model", f"{record.model_name} {record.model_version}"
    if record.model_engine:
        yield "model_engine", f"{record.model_engine} {record.model_precision}"
    if record.bundle_sha256:
        yield "bundle_sha256", record.bundle_sha256
    if record.model_score_threshold is not None:
        yield "model_score_threshold", str(record.model_score_threshold)
    if record.model_software is not None:
        yield "model_software", json.dumps(record.model_software, sort_keys=True)
    if record.ungradable_reasons is not None:
        yield "ungradable_reasons", json.dumps(record.ungradable_reasons)
    if record.detection_count is not None:
        yield "detection_count", str(record.detection_count)
    if record.below_threshold is not None:
        yield "below_threshold", str(record.below_threshold)


def _of_event(event: Event) -> Element:
    is_failure = event.action in _FAILURES
    outcome = _MINOR if is_failure else _SUCCESS
    message = _message(CODES[_Action(event.action)], event.action, event.at, outcome)
    _participant(message, event.actor, event.address, _organisation(event))
    _source(message)
    if event.subject:
        # Role 13: a security resource.
        _object(message, event.subject, "2", "13")
    return message


def _message(kind: tuple[str, str, str], type_: str, at: datetime, outcome: str) -> Element:
    code, meaning, action = kind
    message = Element("AuditMessage")
    event = SubElement(
        message,
        "EventIdentification",
        EventActionCode=action,
        EventDateTime=at.astimezone(UTC).isoformat(),
        EventOutcomeIndicator=outcome,
    )
    _coded(event, "EventID", code, "DCM", meaning)
    _coded(event, "EventTypeCode", type_, _SOURCE, type_)
    return message


def _participant(message: Element, user: str, address: str | None, organisation: str) -> None:
    names = {"UserID": user, "UserIsRequestor": "true"}
    if organisation:
        names["AlternativeUserID"] = organisation
    if address:
        # Type 2: an IP address.
        names |= {"NetworkAccessPointID": address, "NetworkAccessPointTypeCode": "2"}
    SubElement(message, "ActiveParticipant", names)


def _source(message: Element) -> None:
    # Type 4: an application server.
    source = SubElement(message, "AuditSourceIdentification", AuditSourceID=_SOURCE)
    _coded(source, "AuditSourceTypeCode", "4", "DCM", "Application Server Process or Thread")


def _object(message: Element, id_: str, type_: str, role: str) -> Element:
    participant = SubElement(
        message,
        "ParticipantObjectIdentification",
        ParticipantObjectID=id_,
        ParticipantObjectTypeCode=type_,
        ParticipantObjectTypeCodeRole=role,
    )
    _coded(participant, "ParticipantObjectIDTypeCode", "12", "RFC-3881", "URI")
    # The schema requires a name or a query: here, the kind of object before the colon of the
    # subject.
    SubElement(participant, "ParticipantObjectName").text = id_.partition(":")[0]
    return participant


def _coded(parent: Element, tag: str, code: str, system: str, text: str) -> None:
    SubElement(parent, tag, {"csd-code": code, "codeSystemName": system, "originalText": text})


def _outcome(record: Record) -> str:
    if record.state == State.SUCCEEDED:
        return _SUCCESS
    return _MINOR if record.state in (State.REJECTED, State.SHED, State.ABORTED) else _SERIOUS


def _organisation(row: Record | Event) -> str:
    return "" if row.organisation is None else row.organisation.name


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
