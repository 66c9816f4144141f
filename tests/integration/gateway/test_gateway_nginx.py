"""The shipped nginx configurations in Debian's nginx, before the gateway and the ingress."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cluster.certificates import Authority
from cluster.ports import choose_ports
from gateway.usage.models import Record
from pipeline.schemas import Problem
from serve_app.args import ROOT
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway, jpeg
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.records import the_record
from tests.integration.gateway.servers import running_gateway

SITES = ROOT / "cluster/nginx"
MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@contextmanager
def nginx(folder: Path, site: str, changes: dict[str, str]) -> Iterator[None]:
    """The shipped site with its names, ports and paths changed, as its reader changes them."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    text = (SITES / site).read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    folder.mkdir()
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    server = subprocess.Popen(command)
    try:
        for port in re.findall(r"listen 127\.0\.0\.1:(\d+)", text):
            wait_for(int(port))
        yield
    finally:
        server.terminate()
        assert server.wait(30) == 0
        assert not list((folder / "body").glob("**/*")), "an upload touched the disk"


def wait_for(port: int) -> None:
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nothing listens on port {port}")


@dataclass
class Edge:
    """nginx before the gateway, and nginx before the ingress."""

    url: str
    ingress_url: str
    authority: Authority
    certificate: Path
    plain_port: int

    def client(self, certificate: Path | None = None) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.authority.path))
        if certificate is not None:
            context.load_cert_chain(certificate)
        return httpx.Client(verify=context, timeout=30, trust_env=False)


@pytest.fixture
def edge(tmp_path: Path, ingress: FakeIngress, transactional_db: None) -> Iterator[Edge]:
    authority = Authority.kept_in(tmp_path / "tls")
    pem = authority.issue(tmp_path / "tls/both.pem", ["localhost"])
    outer, plain, inner = choose_ports([None] * 3)
    certificate = authority.issue(tmp_path / "tls/client.pem", ["gateway"])
    names = {"/etc/lesionserve/tls/ca.pem": str(authority.path)}
    inside = {
        "8443 ssl": f"127.0.0.1:{inner} ssl",
        "127.0.0.1:8000": f"127.0.0.1:{ingress.port}",
        "lesionserve-ingress.example": "localhost",
        "/etc/lesionserve/tls/ingress.pem": str(pem),
        **names,
    }
    settings = {
        "UPSTREAM_URL": f"https://localhost:{inner}",
        "UPSTREAM_CA": authority.path,
        "UPSTREAM_CERTIFICATE": certificate,
        "HTTPS_ONLY": True,
        "SECURE_SSL_REDIRECT": True,
    }
    with nginx(tmp_path / "inner", "ingress.conf", inside), running_gateway(**settings) as gateway:
        outside = {
            "443 ssl": f"127.0.0.1:{outer} ssl",
            "listen 80": f"listen 127.0.0.1:{plain}",
            "127.0.0.1:8080": f"127.0.0.1:{gateway.port}",
            "lesionserve.example": "localhost",
            "/etc/lesionserve/tls/gateway.pem": str(pem),
        }
        with nginx(tmp_path / "outer", "gateway.conf", outside):
            yield Edge(
                f"https://localhost:{outer}",
                f"https://localhost:{inner}",
                authority,
                certificate,
                plain,
            )


def post(client: httpx.Client, edge: Edge, key: object, image: bytes, **headers: str):
    return client.post(
        f"{edge.url}/predict/",
        files={"file": ("a.jpg", image)},
        headers={"X-API-Key": str(key), **headers},
    )


def test_an_image_goes_over_https_on_both_hops_and_back(edge: Edge, ingress: FakeIngress):
    _, token = issue_key()
    with edge.client() as client:
        response = post(client, edge, token, jpeg(), **{"X-Forwarded-For": "203.0.113.9"})
    assert response.status_code == 200
    assert ingress.sent[0].body == jpeg()
    record = the_record()
    assert record.state == "succeeded"
    assert record.address == "127.0.0.1", "what a client claims of itself is not believed"


def test_the_ingress_asks_for_the_gateways_certificate(edge: Edge, ingress: FakeIngress):
    with edge.client() as stranger:
        assert stranger.get(f"{edge.ingress_url}/readyz").status_code == 400
    assert ingress.sent == []
    with edge.client(edge.certificate) as gateway:
        assert gateway.get(f"{edge.ingress_url}/readyz").status_code == 200


def test_nobody_gets_in_with_a_certificate_of_another_authority(edge: Edge, tmp_path: Path):
    other = Authority.kept_in(tmp_path / "other").issue(tmp_path / "other/c.pem", ["gateway"])
    with edge.client(other) as stranger:
        assert stranger.get(f"{edge.ingress_url}/readyz").status_code == 400


def test_what_is_too_large_is_a_problem_and_a_large_upload_stays_in_memory(edge: Edge):
    _, token = issue_key()
    with edge.client() as client:
        refused = post(client, edge, token, b"x" * (34 << 20))
        # Under nginx's limit, and over the gateway's own for what it can read.
        post(client, edge, token, b"x" * (31 << 20))
    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"
    assert Problem.model_validate_json(refused.content).code == "body_too_large"


def test_plain_http_is_sent_to_https_with_its_method(edge: Edge):
    response = httpx.post(f"http://127.0.0.1:{edge.plain_port}/predict/", trust_env=False)
    assert response.status_code == 308
    assert response.headers["location"] == "https://127.0.0.1/predict/"


def test_the_pages_bind_the_browser_to_https(edge: Edge):
    with edge.client() as client:
        assert "max-age=31536000" in client.get(f"{edge.url}/").headers["strict-transport-security"]


def test_without_a_terminator_nothing_is_taken_in_plain_text(ingress, transactional_db):
    _, token = issue_key()
    with running_gateway(HTTPS_ONLY=True) as gateway:
        told = Gateway(gateway.port).predict(b"x", f"X-API-Key: {token}")
    assert told.status == 403
    assert Record.objects.get().key_id == ""
