import csv
import io
import json
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from gateway.audit.models import Event, Record
from gateway.people.models import Organisation
from gateway.usage import summary as usage_summary
from tests.clinics import issue_key, organisation_named
from tests.integration.gateway.client import Gateway, form, jpeg, part
from tests.integration.gateway.ingress import FakeIngress, prediction
from tests.integration.gateway.records import assert_problem
from tests.integration.gateway.servers import running_gateway

IMAGE = form(part(jpeg()))


@pytest.fixture
def reader(transactional_db: None) -> str:
    return f"X-API-Key: {issue_key('a reader', scopes=['usage:read'])[1]}"


def test_organisation_reads_its_usage(gateway: Gateway, ingress, key, reader):
    gateway.predict(IMAGE, key)
    gateway.predict(form(part(b"no image")), key)
    gateway.predict(IMAGE, "X-API-Key: wrong")
    gateway.predict(IMAGE, f"X-API-Key: {issue_key(organisation='elsewhere')[1]}")
    response = gateway.get("/usage/", reader)
    assert response.headers["Cache-Control"] == "no-store"
    usage = response.json()
    assert usage["organisation"] == "a clinic"
    assert usage["requests"] == 2
    assert usage["outcomes"] == {"rejected": 1, "succeeded": 1}
    assert usage["classes"] == {"HSIL": 1}
    assert usage["scores"] == [0, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert usage["image_types"] == {"JPEG": 1}
    assert usage["model_versions"] == {"fake 7": 1}
    assert set(usage["latency_ms"]) == {"p50", "p90", "p95", "p99"}
    assert usage["days"][0]["day"] == str(datetime.now(UTC).date())
    assert "RateLimit" in response.headers


def test_usage_names_each_key_beside_its_id(gateway: Gateway, ingress, key, reader):
    other = issue_key("=a second key", "a clinic")[1]
    elsewhere = issue_key("a foreign key", "elsewhere")[1]
    for header in (key, f"X-API-Key: {other}", f"X-API-Key: {elsewhere}"):
        assert gateway.predict(IMAGE, header).status == 200
    ids = [f"key:{token.split('_')[1]}" for token in (key, str(other))]
    usage = gateway.get("/usage/", reader).json()
    assert usage["callers"] == dict.fromkeys(ids, 1)
    assert usage["caller_names"] == {ids[0]: "a clinic", ids[1]: "=a second key"}
    text = gateway.get("/usage/?format=csv", reader).body.decode()
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {(row["caller"], row["caller_name"]) for row in rows} == {
        (ids[0], "a clinic"),
        (ids[1], "'=a second key"),
    }


def test_usage_names_no_key_for_person(transactional_db):
    organisation = organisation_named("a clinic")
    record = Record(request_id=uuid4(), state="succeeded", organisation=organisation, user="ada")
    assert Record.objects.close(record)
    day = record.received_at.date()
    summary = usage_summary.summarise(organisation, day, day)
    assert (summary.callers, summary.caller_names) == ({"user:ada": 1}, {})
    assert {row[-1] for row in usage_summary.rows(organisation, day, day)} == {""}


def test_replay_counts_no_detections(gateway: Gateway, ingress, key, reader):
    def detections() -> float:
        return (
            REGISTRY.get_sample_value("lesionserve_gateway_detections_total", {"label": "HSIL"})
            or 0
        )

    before = detections()
    for _ in range(3):
        assert gateway.predict(IMAGE, key, "Idempotency-Key: one-of-a-kind").status == 200
    assert detections() == before + 1
    usage = gateway.get("/usage/", reader).json()
    assert (usage["requests"], usage["classes"], sum(usage["scores"])) == (3, {"HSIL": 1}, 1)


@pytest.mark.parametrize("label", ["=cmd|' /C calc'!A0", " =1+1", "\u200b=1+1", "\uff1d1+1", "|x"])
def test_csv_cells_are_never_formulas(gateway, ingress, key, reader, label):
    def answer(sent):
        body = prediction(sent.headers["x-request-id"])
        body["detections"][0]["label"] = label
        body["metrics"]["class_distribution"] = {label: 1}
        return 200, json.dumps(body).encode()

    ingress.answer = answer
    assert gateway.predict(IMAGE, key).status == 200
    response = gateway.get("/usage/?format=csv", reader)
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(response.body.decode())))
    (cell,) = [row for row in rows if row["dimension"] == "class"]
    assert cell["value"] == "'" + label
    assert {row["dimension"] for row in rows} >= {"outcome", "image_type", "latency", "score"}


@pytest.mark.parametrize(
    "query",
    [
        "from=yesterday",
        "from=2026-02-30",
        "from=2026-02-02&to=2026-02-01",
        "from=1900-01-01",
        "format=xml",
        "days=3",
        "from=2026-01-01&from=2026-01-02",
    ],
)
def test_wrong_period_or_format_is_refused(gateway: Gateway, reader, query):
    assert_problem(gateway.get(f"/usage/?{query}", reader), 400, "bad_request")


def test_reading_usage_requires_scope_and_is_recorded(gateway: Gateway, key, reader):
    assert_problem(gateway.get("/usage/"), 401, "unauthorized")
    assert_problem(gateway.get("/usage/", key), 403, "forbidden")
    assert not Event.objects.filter(action="usage.read").exists()
    assert gateway.get("/usage/", reader).status == 200
    (event,) = Event.objects.filter(action="usage.read")
    assert event.actor.startswith("key:")
    assert str(event.organisation) == "a clinic"
    assert event.address == "127.0.0.1"


def test_record_is_visible_to_its_organisation_only(gateway, ingress, key, reader):
    request_id = gateway.predict(IMAGE, key).headers["X-Request-ID"]
    response = gateway.get(f"/records/{request_id}", reader)
    assert response.headers["Cache-Control"] == "no-store"
    record = response.json()
    assert (record["request_id"], record["state"], record["status"]) == (
        request_id,
        "succeeded",
        200,
    )
    stranger = issue_key(organisation="elsewhere", scopes=["usage:read"])[1]
    response = gateway.get(f"/records/{request_id}", f"X-API-Key: {stranger}")
    assert_problem(response, 404, "not_found")
    assert Event.objects.filter(action="record.read").count() == 2


def test_key_quota_holds_until_midnight(gateway: Gateway, ingress, transactional_db):
    header = f"X-API-Key: {issue_key(requests_per_day=2)[1]}"
    statuses = [gateway.predict(IMAGE, header).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    response = gateway.predict(IMAGE, header)
    assert_problem(response, 429, "too_many_requests")
    midnight = datetime.combine(datetime.now(UTC).date() + timedelta(days=1), datetime.min.time())
    left = (midnight.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds()
    assert abs(int(response.headers["Retry-After"]) - left) < 5
    assert len(ingress.sent) == 2
    assert Record.objects.filter(state="shed", status=429).count() == 2


def test_organisation_quota_covers_all_keys(gateway, ingress, transactional_db):
    headers = [f"X-API-Key: {issue_key(str(number))[1]}" for number in range(3)]
    Organisation.objects.update(requests_per_day=2)
    assert sorted(gateway.predict(IMAGE, header).status for header in headers) == [200, 200, 429]


def test_answers_state_remaining_rate(ingress: FakeIngress, transactional_db, one_minute):
    header = f"X-API-Key: {issue_key(requests_per_minute=2)[1]}"
    with running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{ingress.port}") as gateway:
        answers = [gateway.predict(IMAGE, header) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert [answer.headers["RateLimit"].split(";t=")[0] for answer in answers] == [
        '"caller";r=1',
        '"caller";r=0',
        '"caller";r=0',
    ]
    assert int(answers[2].headers["Retry-After"]) in range(1, 61)
    assert len(ingress.sent) == 2
