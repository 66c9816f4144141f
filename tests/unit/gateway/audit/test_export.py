import base64
import json
from datetime import UTC, datetime
from io import StringIO
from uuid import uuid4
from xml.etree import ElementTree

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from gateway.audit import atna
from gateway.audit.atna import CODES
from gateway.audit.events import Actor, record_event
from gateway.audit.models import Event, Record, State
from pipeline.schemas import PredictOptions
from tests.clinics import organisation_named

pytestmark = pytest.mark.django_db

OPTIONS = PredictOptions(score_threshold=0.3).model_dump()


def exported(format_: str, **options: object) -> list[str]:
    out = StringIO()
    call_command("export_audit", "--format", format_, stdout=out, **options)
    return out.getvalue().splitlines()


@pytest.fixture
def trail() -> None:
    for name, status, state in (
        ("ours", 200, State.SUCCEEDED),
        ("ours", 401, State.REJECTED),
        ("<theirs>", 503, State.FAILED),
    ):
        record = Record(
            request_id=uuid4(),
            state=state,
            status=status,
            organisation=organisation_named(name),
            key_id="0123456789ab",
            address="192.0.2.1",
            model_name="demo" if status == 200 else "",
            model_version="1" if status == 200 else "",
            model_engine="openvino" if status == 200 else "",
            model_precision="int8" if status == 200 else "",
            bundle_sha256="d" * 64 if status == 200 else "",
            options=OPTIONS if status == 200 else None,
            detection_count=1 if status == 200 else None,
            below_threshold=2 if status == 200 else None,
            correlation_id="case-7" if status != 401 else "",
            finished_at=timezone.now(),
        )
        Record.objects.close(record)
    for action in Event.Action:
        record_event(action, Actor("user:an auditor"), organisation_named("ours"), "a thing")


def test_json_lines_hold_sealed_content(trail):
    lines = [json.loads(line) for line in exported("jsonl")]
    requests = [line for line in lines if line["trail"] == "request"]
    assert [line["status"] for line in requests] == [200, 401, 503]
    assert [line["position"] for line in requests] == [1, 2, 3]
    assert [line["correlation_id"] for line in requests] == ["case-7", "", "case-7"]
    assert [line["options"] for line in requests] == [OPTIONS, None, None]
    assert [line["below_threshold"] for line in requests] == [2, None, None]
    assert [line["bundle_sha256"] for line in requests] == ["d" * 64, "", ""]
    assert requests[0]["seal"] == Record.objects.get(status=200).seal
    # The organisations came first, and the export itself is the last event.
    actions = ["organisation.added", "organisation.added", *Event.Action, "audit.exported"]
    assert [line["action"] for line in lines[3:]] == actions


def test_export_filters_by_organisation(trail):
    lines = [json.loads(line) for line in exported("jsonl", organisation="<theirs>")]
    actions = [line.get("action", line["trail"]) for line in lines]
    assert actions == ["request", "organisation.added", "audit.exported"]
    with pytest.raises(CommandError, match="no organisation"):
        exported("jsonl", organisation="nobody")


def test_export_filters_by_day(trail):
    assert exported("jsonl", last=datetime(2020, 1, 1, tzinfo=UTC).date()) == []


def test_atna_lines_have_structure_of_dicom_schema(trail):
    messages = [ElementTree.fromstring(line) for line in exported("atna")]
    for message in messages:
        # The order and the required parts of PS3.15 A.5.1.
        tags = [child.tag for child in message]
        assert tags[:3] == ["EventIdentification", "ActiveParticipant", "AuditSourceIdentification"]
        assert set(tags[3:]) <= {"ParticipantObjectIdentification"}
        event = message[0]
        assert event.attrib.keys() == {
            "EventActionCode",
            "EventDateTime",
            "EventOutcomeIndicator",
        }
        assert datetime.fromisoformat(event.attrib["EventDateTime"]).tzinfo is not None
        assert [child.tag for child in event] == ["EventID", "EventTypeCode"]
        assert event[0].attrib["codeSystemName"] == "DCM"
        assert message[1].attrib["UserIsRequestor"] == "true"
        for thing in message[3:]:
            parts = [child.tag for child in thing]
            assert parts[:2] == ["ParticipantObjectIDTypeCode", "ParticipantObjectName"]
            assert set(parts[2:]) <= {"ParticipantObjectDetail"}
            assert thing[1].text
    details = [
        {
            detail.attrib["type"]: base64.b64decode(detail.attrib["value"]).decode()
            for detail in message.iter("ParticipantObjectDetail")
        }
        for message in messages[:3]
    ]
    assert details == [
        {
            "correlation_id": "case-7",
            "options": json.dumps(OPTIONS, sort_keys=True),
            "model": "demo 1",
            "model_engine": "openvino int8",
            "bundle_sha256": "d" * 64,
            "detection_count": "1",
            "below_threshold": "2",
        },
        {},
        {"correlation_id": "case-7"},
    ]
    codes = [(m[0][0].attrib["csd-code"], m[0].attrib["EventOutcomeIndicator"]) for m in messages]
    # An image that was answered, a refused credential (Security Alert), a fault of ours.
    assert codes[:3] == [("110107", "0"), ("110113", "4"), ("110107", "8")]
    assert messages[2][1].attrib["AlternativeUserID"] == "<theirs>"
    assert messages[0][1].attrib["NetworkAccessPointID"] == "192.0.2.1"


def test_atna_line_escapes_or_replaces_special_characters():
    record_event(
        Event.Action.RECORD_READ, Actor("user:\x01\x1b\ufffe"), subject='record:\n\x85\u2028<&"'
    )
    (message, _) = [ElementTree.fromstring(line) for line in exported("atna")]
    assert message[1].attrib["UserID"] == "user:\ufffd\ufffd\ufffd"
    assert message[3].attrib["ParticipantObjectID"] == 'record:\ufffd\ufffd\ufffd<&"'


def test_event_without_subject_names_no_object():
    event = Event(action=Event.Action.SESSION_BEGAN, actor="user:a", at=timezone.now())
    message = ElementTree.fromstring(atna.line(event))
    assert message.find("ParticipantObjectIdentification") is None


def test_each_action_has_audit_message_code():
    assert set(CODES) == set(Event.Action)
