"""The audit messages of single rows, element by element."""

import base64
from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID
from xml.etree import ElementTree

import pytest

from gateway.audit import atna
from gateway.audit.models import Event, Record, State
from gateway.people.models import Organisation

ID = UUID(int=7)
CLINIC = Organisation(pk=1, name="a clinic")
# 10:00 in UTC
RECEIVED = datetime(2026, 11, 26, 12, 0, tzinfo=timezone(timedelta(hours=2)))
FINISHED = RECEIVED + timedelta(seconds=1)


def record(**values: object) -> Record:
    row = Record(request_id=ID, state=State.SUCCEEDED, status=200, received_at=RECEIVED)
    for name, value in values.items():
        setattr(row, name, value)
    return row


def parsed(row: Record | Event) -> ElementTree.Element:
    return ElementTree.fromstring(atna.line(row))


def kind(row: Record | Event) -> tuple[str | None, str | None]:
    """Return the meaning and the outcome of a row's message."""
    message = parsed(row)
    outcome = message.find("EventIdentification").get("EventOutcomeIndicator")
    return message.find("EventIdentification/EventID").get("originalText"), outcome


def test_message_of_request_follows_standard():
    row = record(
        finished_at=FINISHED, key_id="0123456789ab", address="192.0.2.1", organisation=CLINIC
    )
    assert atna.line(row) == (
        '<AuditMessage><EventIdentification EventActionCode="C" '
        'EventDateTime="2026-11-26T10:00:01+00:00" EventOutcomeIndicator="0">'
        '<EventID csd-code="110107" codeSystemName="DCM" originalText="Import" />'
        '<EventTypeCode csd-code="request.succeeded" codeSystemName="lesionserve" '
        'originalText="request.succeeded" /></EventIdentification>'
        '<ActiveParticipant UserID="key:0123456789ab" UserIsRequestor="true" '
        'AlternativeUserID="a clinic" NetworkAccessPointID="192.0.2.1" '
        'NetworkAccessPointTypeCode="2" />'
        '<AuditSourceIdentification AuditSourceID="lesionserve">'
        '<AuditSourceTypeCode csd-code="4" codeSystemName="DCM" '
        'originalText="Application Server Process or Thread" /></AuditSourceIdentification>'
        "<ParticipantObjectIdentification "
        f'ParticipantObjectID="request:{ID}" ParticipantObjectTypeCode="2" '
        'ParticipantObjectTypeCodeRole="3">'
        '<ParticipantObjectIDTypeCode csd-code="12" codeSystemName="RFC-3881" '
        'originalText="URI" /><ParticipantObjectName>request</ParticipantObjectName>'
        "</ParticipantObjectIdentification></AuditMessage>"
    )


def test_message_of_event_follows_standard():
    row = Event(action="key.issued", actor="command", at=RECEIVED, subject="key:0123456789ab")
    assert atna.line(row) == (
        '<AuditMessage><EventIdentification EventActionCode="E" '
        'EventDateTime="2026-11-26T10:00:00+00:00" EventOutcomeIndicator="0">'
        '<EventID csd-code="110113" codeSystemName="DCM" originalText="Security Alert" />'
        '<EventTypeCode csd-code="key.issued" codeSystemName="lesionserve" '
        'originalText="key.issued" /></EventIdentification>'
        '<ActiveParticipant UserID="command" UserIsRequestor="true" />'
        '<AuditSourceIdentification AuditSourceID="lesionserve">'
        '<AuditSourceTypeCode csd-code="4" codeSystemName="DCM" '
        'originalText="Application Server Process or Thread" /></AuditSourceIdentification>'
        '<ParticipantObjectIdentification ParticipantObjectID="key:0123456789ab" '
        'ParticipantObjectTypeCode="2" ParticipantObjectTypeCodeRole="13">'
        '<ParticipantObjectIDTypeCode csd-code="12" codeSystemName="RFC-3881" '
        'originalText="URI" /><ParticipantObjectName>key</ParticipantObjectName>'
        "</ParticipantObjectIdentification></AuditMessage>"
    )


def test_unfinished_request_has_unknown_user_and_time_of_receipt():
    message = parsed(record(state=State.RECEIVED, status=None))
    (participant,) = message.findall("ActiveParticipant")
    assert participant.attrib == {"UserID": "unknown", "UserIsRequestor": "true"}
    moment = message.find("EventIdentification").get("EventDateTime")
    assert moment == "2026-11-26T10:00:00+00:00"


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        ({"status": 401}, "Security Alert"),
        ({"status": 403}, "Security Alert"),
        ({"status": 402}, "Import"),
        ({"status": 404}, "Import"),
        ({"status": 502, "error_code": "upstream_distrusted"}, "Security Alert"),
        ({"status": 502, "error_code": "upstream_fault"}, "Import"),
    ],
)
def test_refusal_of_credential_or_certificate_is_alert(values, meaning):
    assert kind(record(**values))[0] == meaning


@pytest.mark.parametrize(
    ("state", "outcome"),
    [
        (State.SUCCEEDED, "0"),
        (State.REJECTED, "4"),
        (State.SHED, "4"),
        (State.ABORTED, "4"),
        (State.FAILED, "8"),
        (State.UNKNOWN, "8"),
        (State.RECEIVED, "8"),
    ],
)
def test_outcome_follows_from_state(state: State, outcome: str):
    assert kind(record(state=state))[1] == outcome


def test_event_names_address_and_organisation():
    row = Event(
        action="usage.read", actor="user:a", at=RECEIVED, address="::1", organisation=CLINIC
    )
    (participant,) = parsed(row).findall("ActiveParticipant")
    assert participant.get("NetworkAccessPointID") == "::1"
    assert participant.get("AlternativeUserID") == "a clinic"


@pytest.mark.parametrize(("action", "outcome"), [("session.refused", "4"), ("session.began", "0")])
def test_refused_sign_in_is_minor_failure(action: str, outcome: str):
    assert kind(Event(action=action, actor="unknown", at=RECEIVED)) == (
        "User Authentication",
        outcome,
    )


def details(row: Record) -> dict[str, str]:
    """Return the details of a request's message by their names, in their order."""
    elements = parsed(row).findall("ParticipantObjectIdentification/ParticipantObjectDetail")
    return {
        element.get("type"): base64.b64decode(element.get("value")).decode() for element in elements
    }


def test_details_hold_only_known_values():
    assert details(record()) == {}
    values = {
        "correlation_id": "case-7",
        "source": "probe",
        "options": {"b": 1, "a": "é"},
        "model_name": "demo",
        "model_version": "2",
        "model_engine": "openvino",
        "model_precision": "int8",
        "bundle_sha256": "d" * 64,
        "detection_count": 0,
        "below_threshold": 0,
    }
    assert list(details(record(**values)).items()) == [
        ("source", "probe"),
        ("correlation_id", "case-7"),
        ("options", '{"a": "\\u00e9", "b": 1}'),
        ("model", "demo 2"),
        ("model_engine", "openvino int8"),
        ("bundle_sha256", "d" * 64),
        ("detection_count", "0"),
        ("below_threshold", "0"),
    ]


def test_line_replaces_characters_that_xml_cannot_hold():
    row = Event(
        action="key.issued", actor="a\x00\x1f\x7f\x9f\u2028\u2029\ufffe\ud800b", at=RECEIVED
    )
    (participant,) = parsed(row).findall("ActiveParticipant")
    assert participant.get("UserID") == "a" + "\ufffd" * 8 + "b"
    assert "\n" not in atna.line(row)


def test_time_of_event_is_in_utc():
    row = Event(action="usage.read", actor="user:a", at=RECEIVED.astimezone(UTC))
    assert parsed(row).find("EventIdentification").get("EventDateTime").endswith("10:00:00+00:00")
