"""The shipped nginx configurations in Debian's nginx, before the gateway and the ingress."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from cluster.launcher.certificates import Authority
from gateway.audit.models import Record
from pipeline.schemas import Problem
from tests.clinics import issue_key
from tests.integration.gateway.client import Gateway, jpeg
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.nginx import Site, before_gateway, before_ingress, trusting
from tests.integration.gateway.records import the_record
from tests.integration.gateway.servers import running_gateway


@dataclass
class Edge:
    """nginx before the gateway, and nginx before the ingress."""

    outer: Site
    inner: Site

    @property
    def url(self) -> str:
        return self.outer.url

    @property
    def ingress_url(self) -> str:
        return self.inner.url

    def client(self, certificate: Path | None = None) -> httpx.Client:
        context = trusting(self.outer.authority, certificate)
        return httpx.Client(verify=context, timeout=30, trust_env=False)


@pytest.fixture
def edge(tmp_path: Path, ingress: FakeIngress, transactional_db: None) -> Iterator[Edge]:
    with before_ingress(tmp_path, ingress.port) as inner:
        settings = {
            "UPSTREAM_URL": inner.url,
            "UPSTREAM_CA": inner.authority.path,
            "UPSTREAM_CERTIFICATE": inner.certificate,
            "HTTPS_ONLY": True,
            "SECURE_SSL_REDIRECT": True,
        }
        with (
            running_gateway(**settings) as gateway,
            before_gateway(tmp_path, gateway.port) as outer,
        ):
            yield Edge(outer, inner)


def post(client: httpx.Client, edge: Edge, key: object, image: bytes, **headers: str):
    return client.post(
        f"{edge.url}/predict/",
        files={"file": ("a.jpg", image)},
        headers={"X-API-Key": str(key), **headers},
    )


def test_image_is_answered_over_https_on_both_hops(edge: Edge, ingress: FakeIngress):
    _, token = issue_key()
    with edge.client() as client:
        response = post(client, edge, token, jpeg(), **{"X-Forwarded-For": "203.0.113.9"})
    assert response.status_code == 200
    assert ingress.sent[0].body == jpeg()
    record = the_record()
    assert record.state == "succeeded"
    assert record.address == "127.0.0.1", "what a client claims of itself is not believed"


def test_ingress_requires_gateway_certificate(edge: Edge, ingress: FakeIngress):
    with edge.client() as stranger:
        assert stranger.get(f"{edge.ingress_url}/readyz").status_code == 400
    assert ingress.sent == []
    with edge.client(edge.inner.certificate) as gateway:
        assert gateway.get(f"{edge.ingress_url}/readyz").status_code == 200


def test_certificate_of_another_authority_is_refused(edge: Edge, tmp_path: Path):
    other = Authority.kept_in(tmp_path / "other").issue(tmp_path / "other/c.pem", ["gateway"])
    with edge.client(other) as stranger:
        assert stranger.get(f"{edge.ingress_url}/readyz").status_code == 400


def test_large_upload_stays_in_memory_and_too_large_is_413(edge: Edge):
    _, token = issue_key()
    with edge.client() as client:
        refused = post(client, edge, token, b"x" * (34 << 20))
        # Under nginx's limit, and over the gateway's own for what it can read.
        post(client, edge, token, b"x" * (31 << 20))
    assert refused.status_code == 413
    assert refused.headers["content-type"] == "application/problem+json"
    assert Problem.model_validate_json(refused.content).code == "body_too_large"


def test_plain_http_is_redirected_with_its_method(edge: Edge):
    response = httpx.post(f"http://127.0.0.1:{edge.outer.plain_port}/predict/", trust_env=False)
    assert response.status_code == 308
    assert response.headers["location"] == "https://127.0.0.1/predict/"


def test_pages_send_hsts(edge: Edge):
    with edge.client() as client:
        assert "max-age=31536000" in client.get(f"{edge.url}/").headers["strict-transport-security"]


def test_plain_http_without_tls_terminator_is_refused(ingress, transactional_db):
    _, token = issue_key()
    with running_gateway(HTTPS_ONLY=True) as gateway:
        response = Gateway(gateway.port).predict(b"x", f"X-API-Key: {token}")
    assert response.status == 403
    assert Record.objects.get().key_id == ""


@pytest.fixture
def outside(tmp_path: Path, gateway: Gateway) -> Iterator[Site]:
    """nginx for whom this machine is not inside the network."""
    with before_gateway(tmp_path, gateway.port, **{"127.0.0.0/8": "1"}) as site:
        yield site


HIDDEN = ["/metrics", "//metrics", "/%6detrics", "/x/../metrics", "/./metrics", "/metrics?a=b"]


@pytest.mark.parametrize("path", HIDDEN)
def test_nginx_hides_metrics(tmp_path: Path, gateway: Gateway, path):
    with before_gateway(tmp_path, gateway.port) as site:
        assert_hidden(site, path)
        assert site.get("/admin/login/").status == 302, "from inside the network"


@pytest.mark.parametrize(
    "path", ["/admin/", "/admin/login/", "//admin/", "/%61dmin/", "/x/../admin/"]
)
def test_nginx_hides_admin(outside: Site, path):
    assert_hidden(outside, path)


def assert_hidden(site: Site, path: str) -> None:
    response = site.get(path)
    assert response.status == 404
    problem = Problem.model_validate(response.json())
    assert (problem.code, problem.detail) == ("not_found", "There is nothing here.")


def test_nginx_shows_page_and_health_routes(outside: Site):
    for path in ("/", "/login/", "/healthz", "/readyz", "/docs"):
        assert outside.get(path).status == 200
