"""Each case: the status, the problem, exactly one row, and nothing sent to the ingress."""

import gzip
import http.client
import struct
import zlib
from datetime import timedelta

import pytest
from django.utils import timezone

from gateway.access.token import Token
from gateway.audit.models import Record
from tests.clinics import issue_key, revoke_key
from tests.integration.gateway.client import BOUNDARY, Gateway, form, head, jpeg, part
from tests.integration.gateway.records import assert_problem, assert_refused, the_record

IMAGE = jpeg()
MULTIPART = f"Content-Type: multipart/form-data; boundary={BOUNDARY}"


def png_header(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b"")


@pytest.fixture(autouse=True)
def _nothing_reaches_the_ingress(ingress):
    yield
    assert ingress.sent == []


def revoked() -> str:
    key, token = issue_key("gone")
    revoke_key(key)
    return str(token)


def expired() -> str:
    return str(issue_key("past", expires_at=timezone.now() - timedelta(days=1))[1])


def wrong_secret() -> str:
    key, _ = issue_key("guessed")
    return str(Token(id=key.id, secret="0" * 64))


def bad_checksum() -> str:
    return str(issue_key("mistyped")[1])[:-8] + "00000000"


def valid() -> str:
    return str(issue_key("good")[1])


CREDENTIALS = {
    "none": lambda: [],
    "empty": lambda: ["X-API-Key:"],
    "malformed": lambda: ["X-API-Key: ls_1_2_3"],
    "10 kB": lambda: [f"X-API-Key: {'a' * 10_000}"],
    "not ASCII": lambda: ["X-API-Key: ключ"],
    "bad checksum": lambda: [f"X-API-Key: {bad_checksum()}"],
    "unknown": lambda: [f"X-API-Key: {Token.generate()}"],
    "wrong secret": lambda: [f"X-API-Key: {wrong_secret()}"],
    "revoked": lambda: [f"X-API-Key: {revoked()}"],
    "expired": lambda: [f"X-API-Key: {expired()}"],
    "two keys": lambda: [f"X-API-Key: {valid()}", f"X-API-Key: {valid()}"],
    "two ways": lambda: [f"X-API-Key: {valid()}", f"Authorization: Api-Key {valid()}"],
    "other scheme": lambda: [f"Authorization: Bearer {valid()}"],
    "underscores": lambda: [f"X_API_Key: {valid()}"],
}


@pytest.mark.parametrize("name", CREDENTIALS)
def test_bad_credentials_all_get_same_401(gateway: Gateway, name):
    response = gateway.predict(form(part(IMAGE)), *CREDENTIALS[name]())
    refusal = assert_refused(response, 401, "unauthorized")
    assert refusal["detail"] == "A valid API key is required."
    assert response.headers["WWW-Authenticate"] == 'Api-Key realm="lesionserve"'
    assert the_record().key_id == ""


def test_key_in_query_is_not_accepted(gateway: Gateway):
    response = gateway.predict(form(part(IMAGE)), query=f"?key={valid()}")
    assert_refused(response, 401, "unauthorized")


BODIES = {
    "no part": (form(), 400, "bad_request"),
    "empty body": (b"", 400, "bad_request"),
    "wrong key": (form(part(IMAGE, 'form-data; name="image"; filename="a"')), 400, "bad_request"),
    "text": (form(part(b"an image", 'form-data; name="file"')), 415, "unsupported_image"),
    "empty name": (form(part(IMAGE, 'form-data; name=""; filename="a"')), 400, "bad_request"),
    "two names": (form(part(IMAGE, 'form-data; name="file"; name="file"')), 400, "bad_request"),
    "two files": (form(part(IMAGE), part(IMAGE)), 400, "bad_request"),
    "a text field too": (form(part(b"x", 'form-data; name="a"'), part(IMAGE)), 400, "bad_request"),
    "10k fields": (form(*[part(b"", 'form-data; name="a"')] * 10_000), 400, "bad_request"),
    "2 MB of text": (
        form(part(b"x" * 2**21, 'form-data; name="text"'), part(IMAGE)),
        400,
        "bad_request",
    ),
    "5 kB header": (form(part(IMAGE, "form-data", f"X: {'a' * 5000}")), 400, "bad_request"),
    "repeated header": (
        form(part(IMAGE, 'form-data; name="file"; filename="a"', "content-disposition: x")),
        400,
        "bad_request",
    ),
    "base64": (
        form(
            part(
                b"/9j/",
                'form-data; name="file"; filename="a"',
                "Content-Transfer-Encoding: base64",
            )
        ),
        400,
        "bad_request",
    ),
    "no closing boundary": (part(IMAGE), 400, "bad_request"),
    "another boundary": (form(part(IMAGE)).replace(b"a-b", b"b-a"), 400, "bad_request"),
    "after the boundary": (form(part(IMAGE)) + form(part(IMAGE)), 400, "bad_request"),
    "not an image": (form(part(b"just some text")), 415, "unsupported_image"),
    "SVG": (form(part(b"<svg onload='alert(1)'/>")), 415, "unsupported_image"),
    "no bytes": (form(part(b"")), 422, "broken_image"),
    "half a JPEG": (form(part(IMAGE[: len(IMAGE) // 2])), 422, "broken_image"),
    "400 megapixels": (form(part(png_header(20_000, 20_000))), 413, "image_too_large"),
    "50000 squared": (form(part(png_header(50_000, 50_000))), 413, "image_too_large"),
}


@pytest.mark.parametrize("name", BODIES)
def test_malformed_form_or_image_is_refused(gateway: Gateway, key, name):
    body, status, code = BODIES[name]
    assert_refused(gateway.predict(body, key), status, code)


@pytest.mark.parametrize(
    "media", ["multipart/form-data", f"multipart/form-data; boundary={'b' * 200}"]
)
def test_malformed_boundary_is_refused(gateway: Gateway, key, media):
    assert_refused(gateway.predict(form(part(IMAGE)), key, media=media), 400, "bad_request")


@pytest.mark.parametrize(
    "media", ["application/json", "application/x-www-form-urlencoded", "image/jpeg", " "]
)
def test_bodies_of_other_types_are_refused(gateway: Gateway, key, media):
    response = gateway.predict(IMAGE, key, media=media)
    assert_refused(response, 415, "unsupported_media_type")


def test_body_without_content_type_is_refused(gateway: Gateway, key):
    response = gateway.exchange(head("POST /predict/", key, "Content-Length: 2") + b"{}")
    assert_refused(response, 415, "unsupported_media_type")


def test_compressed_body_is_refused(gateway: Gateway, key):
    response = gateway.predict(gzip.compress(form(part(IMAGE))), key, "Content-Encoding: gzip")
    assert_refused(response, 415, "unsupported_media_type")


def test_oversized_body_is_refused_unread(gateway: Gateway, key):
    request = head("POST /predict/", key, MULTIPART, f"Content-Length: {10**12}")
    assert_refused(gateway.exchange(request), 413, "body_too_large")


def test_client_that_keeps_sending_gets_refusal(gateway: Gateway, key, settings):
    length = settings.MAX_UPLOAD_BYTES + 1
    request = head("POST /predict/", key, MULTIPART, f"Content-Length: {length}")
    # A client that keeps its connection, as browsers do.
    request = request.replace(b"Connection: close\r\n", b"")
    assert_refused(gateway.exchange(request + b"x" * length), 413, "body_too_large")


def test_connection_stays_open_after_refusal(gateway: Gateway):
    body = form(part(IMAGE))
    lines = ["POST /predict/ HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    refused = ("\r\n".join(lines) + "\r\n\r\n").encode() + body
    with gateway.connect() as connection:
        for request, status in [(refused, 401), (head("GET /healthz"), 200)]:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection)
            answer.begin()
            assert (answer.status, bool(answer.read())) == (status, True)


def test_body_without_length_is_refused_unread(gateway: Gateway, key):
    request = head("POST /predict/", key, MULTIPART, "Transfer-Encoding: chunked")
    assert_refused(gateway.exchange(request), 411, "length_required")


def test_key_is_checked_before_body(gateway: Gateway):
    request = head("POST /predict/", MULTIPART, "Content-Length: 1000")
    assert_refused(gateway.exchange(request), 401, "unauthorized")


def test_predict_refuses_unknown_host(gateway: Gateway, key):
    body = form(part(IMAGE))
    request = head("POST /predict/", MULTIPART, f"Content-Length: {len(body)}", key, host="evil")
    assert_refused(gateway.exchange(request + body), 400, "bad_request")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_predict_allows_only_post(gateway: Gateway, key, method):
    response = gateway.get("/predict/", key, "X-HTTP-Method-Override: POST", method=method)
    assert response.headers["Allow"] == "POST"
    if method == "HEAD":
        assert (response.status, response.body) == (405, b"")
        assert the_record().error_code == "method_not_allowed"
    else:
        assert_refused(response, 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("masks=png", "'masks'"),
        ("masks=", "'masks'"),
        ("visualization=gif", "'visualization'"),
        ("score_threshold=2", "'score_threshold'"),
        ("score_threshold=NaN", "'score_threshold'"),
        ("score_threshold=a", "'score_threshold'"),
        ("masks=rle&masks=none", "'masks'"),
        ("mask=rle", "'mask'"),
        ("%3Cscript%3E=1", "'<script>'"),
    ],
)
def test_refusal_names_wrong_option(gateway: Gateway, key, query, named):
    response = gateway.predict(form(part(IMAGE)), key, query=f"?{query}")
    assert named in assert_refused(response, 400, "bad_request")["detail"]


def test_predict_refuses_host_of_unknown_domain(gateway: Gateway, key):
    body = form(part(IMAGE))
    request = head(
        "POST /predict/", key, MULTIPART, f"Content-Length: {len(body)}", host="evil.example"
    )
    assert_refused(gateway.exchange(request + body), 400, "bad_request")


@pytest.mark.parametrize(
    "path", ["/predict", "//predict/", "/predict/%2e%2e/x", "/predict/%00", "/x", "/static/../x"]
)
def test_unknown_paths_get_404_without_record(gateway: Gateway, key, path):
    body = form(part(IMAGE))
    request = head(f"POST {path}", key, MULTIPART, f"Content-Length: {len(body)}")
    assert_problem(gateway.exchange(request + body), 404, "not_found")
    assert not Record.objects.exists()


def test_large_form_of_page_is_refused(gateway: Gateway):
    request = head("POST /admin/login/", "Content-Length: 60000000")
    assert_problem(gateway.exchange(request), 413, "body_too_large")


def test_cors_preflight_gets_no_permission(gateway: Gateway):
    response = gateway.get("/predict/", "Origin: https://evil.example", method="OPTIONS")
    assert not [name for name in response.headers if name.lower().startswith("access-control")]
