"""Alertmanager's webhook, over a real socket."""

import json
from collections.abc import Iterator

import pytest

from gateway.audit.models import Event
from gateway.monitor.models import Alert
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway, Response, head
from tests.integration.gateway.records import assert_problem
from tests.integration.gateway.servers import running_gateway
from tests.unit.gateway.monitor.test_alerts import alert, notification

TOKEN = "a token of alerts, for nothing but tests"
BEARER = f"Authorization: Bearer {TOKEN}"
BODY = json.dumps(notification(alert())).encode()


@pytest.fixture
def site(transactional_db: None) -> Iterator[Gateway]:
    with running_gateway(ALERTS_TOKEN=TOKEN) as gateway:
        yield gateway


def post(gateway: Gateway, *headers: str, body: bytes = BODY) -> Response:
    lines = ["Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return gateway.exchange(head("POST /operations/alerts", *lines) + body)


def test_notification_is_kept(site: Gateway):
    for _ in range(2):
        response = post(site, BEARER)
        assert (response.status, response.body) == (204, b"")
        assert response.headers["Cache-Control"] == "no-store"
    assert Alert.objects.get().name == "LesionserveProbeFailing"
    event = Event.objects.get(action="alert.fired")
    assert (event.actor, event.address) == ("alertmanager", "127.0.0.1")


@pytest.mark.parametrize(
    "headers",
    [
        (),
        ("Authorization: Bearer ",),
        (f"Authorization: Bearer {TOKEN}x",),
        (f"Authorization: Bearer {TOKEN[:-1]}",),
        (f"Authorization: Basic {TOKEN}",),
        (f"Authorization: {TOKEN}",),
        (f"X-API-Key: {TOKEN}",),
        (BEARER, BEARER),
        ("Authorization: Bearer \u00e9\u2028",),
    ],
)
def test_wrong_token_is_unauthorized(site: Gateway, headers):
    response = post(site, *headers)
    assert_problem(response, 401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="lesionserve alerts"'
    assert not Alert.objects.exists()


def test_api_key_opens_no_webhook(site: Gateway):
    _, token = issue_key()
    assert_problem(post(site, f"X-API-Key: {token}"), 401, "unauthorized")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"version": "4"}', BODY.replace(b'"4"', b'"5"'), b"\xff"]
)
def test_other_body_is_bad_request(site: Gateway, body):
    problem = assert_problem(post(site, BEARER, body=body), 400, "bad_request")
    assert "no notification of Alertmanager" in problem["detail"]
    assert not Alert.objects.exists()


def test_refusal_names_place_and_shows_no_value(site: Gateway):
    body = json.dumps(notification(alert(startsAt="Jane Doe"))).encode()
    detail = assert_problem(post(site, BEARER, body=body), 400, "bad_request")["detail"]
    assert "alerts.0.startsAt" in detail
    assert "Jane" not in detail


def test_body_beyond_bound_is_refused(site: Gateway):
    body = json.dumps(notification(alert(annotations={"summary": "s" * 300_000}))).encode()
    assert_problem(post(site, BEARER, body=body), 413, "body_too_large")


def test_other_method_is_refused(site: Gateway):
    response = site.get("/operations/alerts", BEARER)
    assert_problem(response, 405, "method_not_allowed")
    assert response.headers["Allow"] == "POST"


def test_without_token_nothing_is_there(gateway: Gateway):
    assert_problem(post(gateway, BEARER), 404, "not_found")


def test_token_over_plain_http_is_refused(transactional_db):
    with running_gateway(ALERTS_TOKEN=TOKEN, HTTPS_ONLY=True) as gateway:
        assert_problem(post(gateway, BEARER), 403, "forbidden")
