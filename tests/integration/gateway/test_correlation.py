"""The client's own id of a case: from its header to the answer, the ingress and the record."""

import json
from io import StringIO

import pytest
from django.core.management import call_command

from gateway.audit.models import Record
from tests.clinics import issue_key
from tests.integration.gateway.client import BOUNDARY, Gateway, Response, form, head, jpeg, part
from tests.integration.gateway.ingress import FakeIngress, problem
from tests.integration.gateway.records import assert_problem, assert_refused, the_final_record

IMAGE = form(part(jpeg()))
CASE = "X-Correlation-Id: case-7"
MEDIA = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


def assert_echoed(response: Response) -> None:
    assert response.headers.get_all("X-Correlation-Id") == ["case-7"]
    assert response.json()["correlation_id"] == "case-7"


def verify() -> None:
    call_command("verify_audit", stdout=StringIO())


def test_correlation_id_is_answered_forwarded_and_recorded(gateway: Gateway, ingress, key):
    response = gateway.predict(IMAGE, key, CASE)
    assert response.status == 200
    assert_echoed(response)
    assert ingress.sent[0].headers["x-correlation-id"] == "case-7"
    (record,) = Record.objects.all()
    assert record.correlation_id == "case-7"
    reader = f"X-API-Key: {issue_key('a reader', scopes=['usage:read'])[1]}"
    document = gateway.get(f"/records/{record.request_id}", reader).json()
    assert document["correlation_id"] == "case-7"
    assert document["bundle_sha256"] == response.json()["model"]["bundle_sha256"]
    assert document["options"] == response.json()["options"]
    assert document["below_threshold"] == 0
    verify()


def test_request_without_header_has_no_correlation_id(gateway: Gateway, ingress, key):
    response = gateway.predict(IMAGE, key)
    assert response.json()["correlation_id"] is None
    assert "X-Correlation-Id" not in response.headers
    assert "x-correlation-id" not in ingress.sent[0].headers
    refused = gateway.predict(IMAGE)
    assert refused.json()["correlation_id"] is None
    assert "X-Correlation-Id" not in refused.headers


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (lambda gateway, key: gateway.predict(IMAGE, CASE), 401, "unauthorized"),
        (lambda gateway, key: gateway.get("/predict/", key, CASE), 405, "method_not_allowed"),
        (lambda gateway, key: gateway.predict(IMAGE, key, CASE, media="image/jpeg"), 415, None),
        (lambda gateway, key: gateway.predict(IMAGE, key, CASE, query="?masks=x"), 400, None),
        (lambda gateway, key: gateway.predict(b"no form", key, CASE), 400, None),
        (lambda gateway, key: gateway.predict(form(part(b"text")), key, CASE), 415, None),
        (lambda gateway, key: gateway.predict(IMAGE, key, CASE, "X-Long: " + "x" * 9**5), 431, ""),
        (lambda gateway, key: gateway.predict(IMAGE, key, CASE, "Idempotency-Key:"), 400, None),
        (
            lambda gateway, key: gateway.exchange(
                head("POST /predict/", key, CASE, MEDIA, "Content-Length: 99999999999")
            ),
            413,
            "body_too_large",
        ),
        (
            lambda gateway, key: gateway.exchange(
                head("POST /predict/", key, CASE, MEDIA, "Transfer-Encoding: chunked")
                + b"0\r\n\r\n"
            ),
            411,
            "length_required",
        ),
    ],
)  # fmt: skip
def test_refused_request_keeps_its_correlation_id(gateway, ingress, key, request_, status, code):
    response = request_(gateway, key)
    assert_problem(response, status, code or response.json()["code"])
    assert_echoed(response)
    assert the_final_record().correlation_id == "case-7"
    verify()


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [(422, "broken_image", 422), (503, "overloaded", 503), (500, "prediction_failed", 502)],
)
def test_refusal_of_ingress_keeps_correlation_id(gateway, ingress, key, status, code, expected):
    ingress.answer = lambda sent: problem(sent, status, code)
    response = gateway.predict(IMAGE, key, CASE)
    assert response.status == expected
    assert_echoed(response)
    assert the_final_record().correlation_id == "case-7"


@pytest.mark.parametrize(
    "lines",
    [
        ["X-Correlation-Id:"],
        ["X-Correlation-Id: " + "a" * 65],
        ["X-Correlation-Id: Jane Doe"],
        ["X-Correlation-Id: DOE^JANE"],
        ["X-Correlation-Id: =1+1"],
        ["X-Correlation-Id: Jürgen"],
        ["X-Correlation-Id: case-7\u00a0"],
        [CASE, CASE],
        [CASE, "X-Correlation-ID: case-8"],
    ],
)
def test_malformed_correlation_id_is_refused_by_name(gateway: Gateway, ingress, key, lines):
    response = gateway.predict(IMAGE, key, *lines)
    refusal = assert_refused(response, 400, "bad_request")
    assert "X-Correlation-Id" in refusal["detail"]
    assert refusal["correlation_id"] is None
    assert "X-Correlation-Id" not in response.headers
    assert ingress.sent == []
    assert Record.objects.get().correlation_id == ""
    # Who has no key learns nothing of the rules.
    assert_problem(gateway.predict(IMAGE, *lines), 401, "unauthorized")


def test_aborted_request_has_correlation_id_on_record(gateway: Gateway, ingress: FakeIngress, key):
    ingress.holds = True
    with gateway.connect() as connection:
        lines = head("POST /predict/", key, CASE, MEDIA, f"Content-Length: {len(IMAGE)}")
        connection.sendall(lines + IMAGE)
        assert ingress.was_asked.wait(30)
        (open_record,) = Record.objects.all()
        assert (open_record.state, open_record.correlation_id) == ("received", "case-7")
    record = the_final_record()
    assert (record.state, record.correlation_id) == ("aborted", "case-7")
    assert record.options["masks"] == "rle"
    verify()


def test_replay_has_first_answers_id_and_own_record(gateway, ingress, key):
    once = "Idempotency-Key: one-of-a-kind"
    query = "?score_threshold=0.5"
    first = gateway.predict(IMAGE, key, once, CASE, query=query)
    second = gateway.predict(IMAGE, key, once, "X-Correlation-Id: case-8", query=query)
    assert len(ingress.sent) == 1
    assert first.body == second.body
    assert second.headers["Idempotent-Replayed"] == "true"
    # As with the request ids: the headers are of this request, the body is of the first.
    assert second.headers["X-Correlation-Id"] == "case-8"
    assert second.json()["correlation_id"] == "case-7"
    original, replayed = Record.objects.order_by("received_at")
    assert (original.correlation_id, replayed.correlation_id) == ("case-7", "case-8")
    assert (original.replayed, replayed.replayed) == (False, True)
    for record in (original, replayed):
        assert record.options["score_threshold"] == 0.5
        assert (record.bundle_sha256, record.model_name) == (original.bundle_sha256, "fake")
        assert (record.detection_count, record.below_threshold) == (1, 0)
    verify()


def test_other_routes_echo_well_formed_id_and_ignore_others(gateway: Gateway, ingress):
    response = gateway.get("/healthz", CASE)
    assert (response.status, response.headers["X-Correlation-Id"]) == (200, "case-7")
    response = gateway.get("/usage/", CASE)
    assert_problem(response, 401, "unauthorized")
    assert_echoed(response)
    response = gateway.get("/healthz", "X-Correlation-Id: a b")
    assert (response.status, response.headers["X-Correlation-Id"]) == (200, None)


def test_export_holds_correlation_ids(gateway: Gateway, ingress, key):
    gateway.predict(IMAGE, key, CASE)
    gateway.predict(IMAGE, key)
    out = StringIO()
    call_command("export_audit", stdout=out)
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    ids = [line["correlation_id"] for line in lines if line["trail"] == "request"]
    assert ids == ["case-7", ""]
