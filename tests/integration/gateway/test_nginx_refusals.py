"""What the shipped nginx answers by itself, with nothing behind it, to bytes that a client library
would not send."""

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from cluster.launcher.ports import choose_ports
from pipeline.schemas import Problem
from tests.integration.gateway.client import Gateway, Response, head
from tests.integration.gateway.nginx import Site, before_gateway, before_ingress

CHUNKED = head("POST /predict/", "Transfer-Encoding: chunked")
# Under the limit for bodies as an image, over it with its frames.
SMALL_CHUNKS = b"a\r\n0123456789\r\n" * ((28 << 20) // 10) + b"0\r\n\r\n"
REFUSALS = {
    "no HTTP": (b"hello\r\n\r\n", 400, "bad_request"),
    "no host": (b"GET / HTTP/1.1\r\nConnection: close\r\n\r\n", 400, "bad_request"),
    "a long header": (head("GET /", f"X-Long: {'x' * 9000}"), 400, "bad_request"),
    "two lengths": (CHUNKED[:-2] + b"Content-Length: 5\r\n\r\n", 400, "bad_request"),
    "our own page": (head("GET /lesionserve-problem"), 404, "not_found"),
    "TRACE": (head("TRACE /predict/"), 405, "method_not_allowed"),
    "chunks": (CHUNKED + b"1\r\nx\r\n0\r\n\r\n", 411, "length_required"),
    "a large body": (head("POST /predict/", "Content-Length: 99999999"), 413, "body_too_large"),
    "a long address": (head(f"GET /{'x' * 9000}"), 414, "uri_too_long"),
    "another coding": (head("POST /", "Transfer-Encoding: gzip"), 501, "not_implemented"),
    "another HTTP": (b"GET / HTTP/4.0\r\n\r\n", 505, "http_version_not_supported"),
    "nothing behind": (head("GET /healthz"), 503, "unavailable"),
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    (nobody,) = choose_ports([None])
    with before_gateway(tmp_path_factory.mktemp("site"), nobody) as site:
        yield site


def assert_problem(response: Response, status: int, code: str) -> None:
    assert response.status == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.headers["cache-control"] == "no-store"
    problem = Problem.model_validate_json(response.body)
    assert (problem.status, problem.code) == (status, code)


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals_of_nginx_are_problems(site, name):
    request, status, code = REFUSALS[name]
    response = site.exchange(request)
    assert_problem(response, status, code)
    assert response.headers["retry-after"] == ("2" if status == 503 else None)
    assert response.headers["allow"] == ("GET, HEAD, POST" if status == 405 else None)


def test_plain_http_on_tls_port_gets_problem(site):
    assert_problem(Gateway(site.port).get("/"), 400, "bad_request")


def test_too_many_connections_of_one_address_are_refused(site):
    with ExitStack() as crowd:
        for _ in range(64):
            connection = crowd.enter_context(site.connect())
            connection.sendall(head("POST /predict/", "Content-Length: 5"))
        response = site.get("/healthz")
    assert_problem(response, 429, "too_many_requests")
    assert response.headers["retry-after"] == "2"


def test_silent_gateway_is_unavailable(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with before_gateway(tmp_path, port, proxy_read_timeout="1s") as site:
            response = site.get("/healthz")
    assert_problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "2"


@pytest.mark.parametrize("before", [before_gateway, before_ingress])
def test_chunked_body_is_refused_and_not_written_to_disk(tmp_path: Path, before):
    (nobody,) = choose_ports([None])
    with before(tmp_path, nobody) as site:
        assert_problem(site.exchange(CHUNKED + SMALL_CHUNKS), 411, "length_required")


@pytest.mark.skipif(shutil.which("curl") is None, reason="it speaks HTTP/2")
def test_large_body_without_length_is_not_written_to_disk(tmp_path: Path):
    (nobody,) = choose_ports([None])
    with before_gateway(tmp_path, nobody) as site:
        command = ["curl", "--silent", "--http2", "--upload-file", "-", "--request", "POST"]
        command += ["--cacert", str(site.authority.path), "--write-out", "%{http_version}"]
        sent = subprocess.run([*command, site.url], input=bytes(40 << 20), capture_output=True)
    body, version = sent.stdout[:-1], sent.stdout[-1:]
    assert version == b"2"
    assert Problem.model_validate_json(body).status == 413


def test_access_log_has_no_queries(tmp_path: Path):
    (nobody,) = choose_ports([None])
    with before_gateway(tmp_path, nobody) as site:
        for server in (site, Gateway(site.plain_port)):
            server.get("/predict/?api_key=a-secret")
    lines = [json.loads(line) for line in (tmp_path / "outer/access.log").read_text().splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [
        ("/predict/", "503"),
        ("/predict/", "308"),
    ]
    assert "a-secret" not in str(lines)
