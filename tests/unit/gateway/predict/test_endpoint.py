"""POST /predict/ and the middleware of the other routes, as plain ASGI applications."""

import json
from typing import Any

import pytest

from gateway.access.limits import Limiter
from gateway.asgi import application, watched
from gateway.audit.models import Record
from gateway.database import in_database
from gateway.environment import Rates
from gateway.errors import (
    BodyTooLarge,
    Forbidden,
    HeadersTooLarge,
    LengthRequired,
    MethodNotAllowed,
    UnsupportedMediaType,
)
from gateway.middleware import RequestContextMiddleware
from gateway.predict import endpoint
from gateway.predict.endpoint import check_form, check_request
from pipeline.errors import BadRequest
from tests.clinics import issue_key

pytestmark = pytest.mark.django_db(transaction=True)


def limiter() -> Limiter:
    return Limiter(Rates(caller=2, organisation=100, failures=100))


async def call(
    path: str = "/predict/", app: Any = application, **scope: Any
) -> tuple[int, dict, dict]:
    """Status, headers and problem of the answer. The body is never offered: reading it fails."""
    messages = []
    scope["headers"] = [(b"host", b"localhost"), *scope.get("headers", [])]

    async def receive():
        raise AssertionError("the body was read")

    async def send(message):
        messages.append(message)

    await app(
        {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": path,
            "query_string": b"",
            "root_path": "",
            "state": {"limiter": limiter()},
            **scope,
        },
        receive,
        send,
    )
    start, body = messages
    return start["status"], dict(start["headers"]), json.loads(body["body"])


@pytest.fixture
def headers():
    _, token = issue_key("a clinic")
    return [
        (b"x-api-key", str(token).encode()),
        (b"content-type", b"multipart/form-data; boundary=b"),
        (b"content-length", b"4"),
    ]


async def test_missing_key_is_refused_before_body_is_read():
    status, headers, problem = await call()
    assert status == 401
    assert headers[b"x-request-id"].decode() == problem["request_id"]


async def test_mounted_gateway_answers_predict():
    status, _, _ = await call(path="/lesions/predict/", root_path="/lesions")
    assert status == 401


@pytest.mark.parametrize("length", [b"-1", b"+4", b"4, 4", b"1e3", b"0x4", b"\xb2"])
async def test_malformed_content_length_is_refused(headers, length):
    status, _, _ = await call(headers=[*headers[:2], (b"content-length", length)])
    assert status == 400


async def test_two_content_lengths_are_refused(headers):
    status, _, _ = await call(headers=[*headers, (b"content-length", b"5")])
    assert status == 400


async def test_error_response_of_other_type_becomes_problem():
    async def html(scope, receive, send):
        page = [(b"content-type", b"text/html"), (b"allow", b"GET")]
        await send({"type": "http.response.start", "status": 405, "headers": page})
        await send({"type": "http.response.body", "body": b"<h1>", "more_body": True})
        await send({"type": "http.response.body", "body": b"no"})

    status, headers, problem = await call("/usage/", RequestContextMiddleware(watched(html)))
    assert (status, problem["code"]) == (405, "method_not_allowed")
    assert headers[b"content-type"] == b"application/problem+json"
    assert headers[b"allow"] == b"GET"


async def test_crash_of_page_becomes_problem_without_its_text():
    async def crash(scope, receive, send):
        raise RuntimeError("a secret")

    messages = []

    async def send(message):
        messages.append(message)

    scope = {"type": "http", "method": "GET", "scheme": "http", "path": "/usage/", "headers": []}
    with pytest.raises(RuntimeError):
        await RequestContextMiddleware(watched(crash))(scope, None, send)
    assert messages[0]["status"] == 500
    assert b"secret" not in messages[1]["body"]


async def test_crash_becomes_problem_and_failed_record(headers, monkeypatch, caplog):
    async def crash(*arguments):
        raise RuntimeError("a secret")

    monkeypatch.setattr(endpoint, "read_body", crash)
    status, _, problem = await call(headers=headers)
    assert (status, problem["code"]) == (500, "internal_error")
    assert problem["detail"] == "The request could not be completed."
    assert "a secret" in caplog.text
    record = await in_database(Record.objects.get)
    assert (record.state, record.error_code) == ("failed", "internal_error")


async def test_malformed_query_is_refused_and_recorded(headers):
    messages = []

    async def receive():
        return {"type": "http.request", "body": b"body"}

    async def send(message):
        messages.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "scheme": "http",
        "path": "/predict/",
        "headers": [(b"host", b"localhost"), *headers],
        "state": {"limiter": limiter()},
    }
    await application({**scope, "query_string": b"\xff"}, receive, send)
    assert (messages[0]["status"], json.loads(messages[1]["body"])["code"]) == (400, "bad_request")
    assert (await in_database(Record.objects.get)).state == "rejected"


@pytest.mark.parametrize("path", ["/predict/", "/healthz"])
@pytest.mark.parametrize(
    "header", [(b"content-type", b";" * 2000), (b"x-anything", b"a" * 40_000)], ids=["type", "any"]
)
async def test_headers_beyond_limits_are_refused(path, header):
    status, _, problem = await call(path=path, headers=[header])
    assert (status, problem["code"]) == (431, "headers_too_large")
    assert await in_database(Record.objects.count) == (path == "/predict/")


@pytest.mark.parametrize("name", [b"x-api-key", b"authorization"])
async def test_key_over_plain_http_is_refused(settings, name):
    settings.HTTPS_ONLY = True
    status, _, problem = await call(path="/usage/", headers=[(name, b"a key")])
    assert (status, problem["code"]) == (403, "forbidden")


HOST = (b"host", b"localhost")


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"headers": []}, BadRequest),
        ({"headers": [(b"host", b"elsewhere")]}, BadRequest),
        ({"headers": [HOST, (b"x-other", b"a" * 40_000)]}, HeadersTooLarge),
        ({"method": "GET"}, MethodNotAllowed),
        ({"scheme": "http"}, Forbidden),
        ({"headers": [HOST, (b"transfer-encoding", b"chunked")]}, LengthRequired),
    ],
)
def test_request_is_checked_before_caller_is_known(settings, change, error):
    settings.HTTPS_ONLY = True
    scope = {"method": "POST", "scheme": "https", "headers": [HOST]}
    check_request(scope)
    with pytest.raises(error) as refusal:
        check_request({**scope, **change})
    assert refusal.value.headers().get("Allow") == ("POST" if error is MethodNotAllowed else None)


FORM = [(b"content-type", b"multipart/form-data; boundary=b"), (b"content-length", b"40")]


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        ([*FORM, (b"x-correlation-id", b"a name")], BadRequest),
        ([(b"content-type", b"image/jpeg"), FORM[1]], UnsupportedMediaType),
        ([FORM[0], (b"content-length", b"41")], BodyTooLarge),
    ],
)
def test_form_is_checked_before_it_is_read(settings, headers, error):
    settings.MAX_UPLOAD_BYTES = 40
    assert check_form([*FORM, (b"x-correlation-id", b"case-7")]) == 40
    with pytest.raises(error):
        check_form(headers)
