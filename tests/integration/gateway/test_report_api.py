"""The report of an answer over HTTP."""

import pytest

from gateway.audit.models import Event
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway, form, head, jpeg, part
from tests.integration.gateway.records import assert_problem
from tests.integration.gateway.test_sessions import Browser, person


@pytest.fixture
def path(gateway: Gateway, key: str) -> str:
    """The path of the report on a request that was answered."""
    answer = gateway.predict(form(part(jpeg())), key).json()
    return f"/records/{answer['request_id']}/report.pdf"


@pytest.fixture
def reader(transactional_db: None) -> str:
    return f"X-API-Key: {issue_key('a reader', scopes=['usage:read'])[1]}"


def test_report_is_the_same_pdf_each_time_and_an_event(gateway: Gateway, path, reader):
    responses = [gateway.get(path, reader) for _ in range(2)]
    assert [response.status for response in responses] == [200, 200]
    first, second = responses
    assert first.body == second.body
    assert first.body.startswith(b"%PDF-")
    assert first.headers["Content-Type"] == "application/pdf"
    assert first.headers["Cache-Control"] == "no-store"
    name = f'inline; filename="report-{path.split("/")[2]}.pdf"'
    assert first.headers["Content-Disposition"] == name
    events = Event.objects.filter(subject=f"report:{path.split('/')[2]}")
    assert [event.action for event in events] == ["record.read"] * 2


def test_report_is_in_the_language_that_is_asked_for(gateway: Gateway, path, reader):
    english = gateway.get(path, reader).body
    assert b"/Lang(en)" in english
    for language in ("es", "fr", "pt", "sw"):
        assert (
            f"/Lang({language})".encode() in gateway.get(f"{path}?language={language}", reader).body
        )
    problem = assert_problem(gateway.get(f"{path}?language=de", reader), 400, "bad_request")
    assert "'language' must be" in problem["detail"]


def test_report_needs_a_scope_that_reads(gateway: Gateway, path, key):
    assert_problem(gateway.get(path), 401, "unauthorized")
    assert_problem(gateway.get(path, key), 403, "forbidden")
    reviewer = f"X-API-Key: {issue_key('a reviewer', scopes=['feedback'])[1]}"
    assert gateway.get(path, reviewer).status == 200
    assert_problem(
        gateway.exchange(head(f"POST {path}", "Content-Length: 0", reviewer)),
        405,
        "method_not_allowed",
    )


def test_report_of_another_organisation_is_unknown(gateway: Gateway, path):
    stranger = f"X-API-Key: {issue_key(organisation='elsewhere', scopes=['usage:read'])[1]}"
    assert_problem(gateway.get(path, stranger), 404, "not_found")


def test_clinician_opens_report_with_the_session(gateway: Gateway, path):
    person()
    browser = Browser(gateway)
    browser.sign_in()
    assert browser.send(f"GET {path}").status == 200
