"""HTTP itself: upgrades that are not offered, trailers, and bytes that are no HTTP."""

import http.client
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.audit.models import Record
from pipeline.schemas import Problem
from tests.integration.gateway.client import Gateway, form, head, jpeg, part
from tests.integration.gateway.records import assert_problem, assert_refused, the_record
from tests.integration.gateway.servers import running_gateway

BODY = form(part(jpeg()))
MULTIPART = "Content-Type: multipart/form-data; boundary=a-boundary"
SETTINGS = "HTTP2-Settings: AAEAAEAAAAIAAAAAAAMAAAAAAAQBAAAAAAUAAEAAAAYABgAA"
UPGRADE = ("Connection: Upgrade, HTTP2-Settings", SETTINGS, "Upgrade: h2c")


def request(*headers: str, body: bytes = BODY, line: str = "POST /predict/ HTTP/1.1") -> bytes:
    lines = [line, f"Content-Length: {len(body)}", "Host: localhost", MULTIPART, *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


@pytest.mark.parametrize(
    "headers",
    [
        (*UPGRADE, "User-Agent: Java-http-client/17.0.15"),
        ("Connection: close, Upgrade", "Upgrade: h2c"),
        ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13"),
        ("Connection: Upgrade", "Upgrade: TLS/1.0"),
        ("Connection: Upgrade", "Upgrade: h2c", "Upgrade: other"),
    ],
)
@pytest.mark.parametrize("version", ["1.0", "1.1"])
def test_upgrade_is_ignored(gateway: Gateway, ingress, key, headers, version):
    line = f"POST /predict/ HTTP/{version}"
    response = gateway.exchange(request(*headers, key, line=line))
    assert response.status == 200, response.body
    assert ingress.sent[0].body == jpeg()
    assert the_record().state == "succeeded"


def test_upgrade_sent_byte_by_byte_is_ignored(gateway: Gateway, key):
    with gateway.connect() as connection:
        for byte in request(*UPGRADE, key):
            connection.sendall(bytes([byte]))
        answer = http.client.HTTPResponse(connection)
        answer.begin()
        assert answer.status == 200


def test_upgrade_is_ignored_on_reused_connection(gateway: Gateway, key):
    whole = request(*UPGRADE, key)
    get = head("GET /healthz", "Upgrade: h2c").replace(b"close", b"Upgrade")
    requests = [whole, get, whole, *[get] * 500]
    with gateway.connect() as connection, connection.makefile("rb") as answers:
        connection.sendall(b"".join(requests))
        for _ in requests:
            assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
            headers = http.client.parse_headers(answers)
            assert answers.read(int(headers["Content-Length"]))
    assert Record.objects.filter(state="succeeded").count() == 2


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("size", [0, 3 << 20])
def test_answers_curl_with_http2(gateway: Gateway, key, tmp_path: Path, size):
    """Above a megabyte it waits for `100 Continue`."""
    (tmp_path / "case.jpg").write_bytes(jpeg() + bytes(size))
    command = ["curl", "--silent", "--noproxy", "*", "--http2", "--header", key]
    command += ["--form", f"file=@{tmp_path}/case.jpg", "--output", str(tmp_path / "answer")]
    command += ["--write-out", "%{http_code}", f"http://localhost:{gateway.port}/predict/"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout == "200", (tmp_path / "answer").read_text()


JAVA = """
import java.net.URI;
import java.net.http.*;
import java.nio.file.*;

public class Post {
    public static void main(String[] arguments) throws Exception {
        var request = HttpRequest.newBuilder(URI.create(arguments[0]))
            .header("Content-Type", "multipart/form-data; boundary=a-boundary")
            .header("X-API-Key", arguments[1])
            .POST(HttpRequest.BodyPublishers.ofFile(Path.of(arguments[2])))
            .build();
        var client = HttpClient.newHttpClient();
        System.out.print(client.send(request, HttpResponse.BodyHandlers.ofString()).statusCode());
    }
}
"""


@pytest.mark.skipif(shutil.which("javac") is None, reason="a JDK is not installed")
def test_answers_java_http_client(gateway: Gateway, key, tmp_path: Path):
    (tmp_path / "Post.java").write_text(JAVA)
    (tmp_path / "body").write_bytes(BODY)
    url = f"http://localhost:{gateway.port}/predict/"
    command = ["java", str(tmp_path / "Post.java"), url, key.split(": ")[1], str(tmp_path / "body")]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout == "200"


def test_body_dropped_by_server_is_refused(ingress, key):
    """uvicorn's own protocol, where nobody asked for ours."""
    from gateway.asgi import application
    from tests.integration.gateway.servers import serving

    with serving(application, http="httptools") as port:
        response = Gateway(port).exchange(request(*UPGRADE, key))
    assert "Upgrade" in assert_refused(response, 400, "bad_request")["detail"]


def test_key_in_trailer_is_not_accepted(gateway: Gateway, key):
    chunks = f"3\r\nabc\r\n0\r\n{key}\r\n\r\n".encode()
    sent = head("POST /predict/", MULTIPART, "Transfer-Encoding: chunked", "Trailer: X-API-Key")
    assert_refused(gateway.exchange(sent + chunks), 411, "length_required")
    assert the_record().key_id == ""
    sent = head("GET /usage/", "Transfer-Encoding: chunked")
    assert_problem(gateway.exchange(sent + chunks, "GET"), 411, "length_required")


@pytest.mark.parametrize("space", ["\xa0", "\x85", "\x1f"])
@pytest.mark.parametrize("place", ["{}{}", "{1}{0}"])
def test_key_with_unusual_space_is_not_accepted(gateway: Gateway, key, space, place):
    name, _, value = key.partition(": ")
    shown = place.format(value, space).encode("latin-1")
    sent = head("POST /predict/", MULTIPART, f"Content-Length: {len(BODY)}", f"{name}: KEY")
    response = gateway.exchange(sent.replace(b"KEY", shown) + BODY)
    assert response.status in (400, 401)
    assert not Record.objects.exclude(key_id="").exists()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET /healthz HTTP/1.1 x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT localhost:443 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nX : y\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: y\nZ: a\r\n\r\n\0",
    ],
)
def test_malformed_http_gets_problem(gateway: Gateway, sent):
    response = gateway.exchange(sent)
    assert response.status == 400
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    assert Problem.model_validate(response.json()).code == "bad_request"
    assert gateway.get("/healthz").status == 200


ADDRESS = "10.2.3.4:8080"


@pytest.mark.parametrize("host", [ADDRESS, "[fd00::1]:8080", "pod-1.internal", ""])
@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_routes_answer_any_host(gateway: Gateway, path, host):
    response = gateway.exchange(head(f"GET {path}", host=host), "GET")
    assert response.status == 200
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_health_routes_answer_without_host(gateway: Gateway):
    """As HAProxy asks."""
    response = gateway.exchange(b"GET /healthz HTTP/1.0\r\n\r\n", "GET")
    assert response.status == 200
    assert gateway.exchange(head("HEAD /healthz", host=ADDRESS), "HEAD").status in (200, 405)


def test_monitoring_routes_answer_plain_http(ingress, key):
    settings = {"HTTPS_ONLY": True, "UPSTREAM_URL": f"http://127.0.0.1:{ingress.port}"}
    with running_gateway(**settings) as gateway:
        for path in ("/healthz", "/readyz", "/metrics"):
            assert gateway.get(path).status == 200
        refused = gateway.predict(BODY, key)
    assert_problem(refused, 403, "forbidden")


@pytest.mark.parametrize("path", ["/", "/login/", "/admin/", "/usage/", "/docs", "/predict/"])
def test_other_routes_refuse_unknown_hosts(gateway: Gateway, path):
    response = gateway.exchange(head(f"GET {path}", host=ADDRESS), "GET")
    assert_problem(response, 400, "bad_request")


@pytest.mark.parametrize(
    ("hosts", "status", "code"),
    [
        (["*"], 200, ""),
        (["10.2.3.4"], 200, ""),
        (["localhost"], 400, "bad_request"),
        ([], 404, "not_found"),
    ],
)
def test_metrics_answer_configured_hosts_only(gateway: Gateway, settings, hosts, status, code):
    settings.METRICS_HOSTS = hosts
    response = gateway.exchange(head("GET /metrics", host=ADDRESS), "GET")
    if status == 200:
        assert response.status == 200
        assert b"lesionserve_gateway_requests" in response.body
    else:
        assert_problem(response, status, code)
