"""Which pages a browser shows in a frame of another site."""

from collections.abc import Iterator

import pytest

from gateway.database import DatabaseUnavailable
from gateway.web import views
from tests.integration.gateway.client import Gateway, Response
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.servers import running_gateway
from tests.integration.gateway.test_pages import BROWSERS
from tests.integration.gateway.test_sessions import Browser, person

PORTAL, OTHER = "https://portal.example", "https://other.example:8443"
PAGES = ["/login/", "/docs", "/openapi.json", "/admin/login/", "/operations", "/session/"]
ERRORS = ["/nowhere", "/admin/nowhere/", "/static/x.js"]


@pytest.fixture
def portal_gateway(ingress: FakeIngress, transactional_db: None) -> Iterator[Gateway]:
    """A gateway whose page two other sites may show in a frame."""
    settings = {
        "UPSTREAM_URL": f"http://127.0.0.1:{ingress.port}",
        "FRAME_ANCESTORS": [PORTAL, OTHER],
    }
    with running_gateway(**settings) as gateway:
        yield gateway


def ancestors(response: Response) -> str | None:
    """Return the value of `frame-ancestors`; None where the response has no policy."""
    policy = response.headers["Content-Security-Policy"]
    if policy is None:
        return None
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    return directives["frame-ancestors"]


@pytest.mark.parametrize("path", ["/", *PAGES])
def test_no_page_is_framed_by_default(gateway: Gateway, path):
    response = gateway.get(path)
    assert ancestors(response) == "'none'"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/", *ERRORS])
def test_no_error_page_is_framed_by_default(gateway: Gateway, path):
    response = gateway.get(path, BROWSERS, "Content-Length: 0", method="DELETE")
    assert response.status >= 400
    assert ancestors(response) == "'none'"


@pytest.mark.parametrize("query", ["", "?a=b"])
def test_listed_origins_frame_clinicians_page(portal_gateway: Gateway, query):
    response = portal_gateway.get(f"/{query}")
    assert ancestors(response) == f"{PORTAL} {OTHER}"
    assert response.headers["X-Frame-Options"] is None
    assert "default-src 'none'" in response.headers["Content-Security-Policy"]


@pytest.mark.parametrize("path", [*PAGES, "/docs?/", "/login/?next=/"])
def test_listed_origins_frame_no_other_page(portal_gateway: Gateway, path):
    response = portal_gateway.get(path)
    assert ancestors(response) == "'none'"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ["/admin/", "/admin/usage/record/", "/operations"])
def test_listed_origins_frame_no_page_of_staff(portal_gateway: Gateway, path):
    person(role="admin")
    browser = Browser(portal_gateway)
    assert browser.sign_in().status == 302
    response = browser.send(f"GET {path}")
    assert response.status == 200
    assert ancestors(response) == "'none'"
    assert response.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize("path", ERRORS)
def test_listed_origins_frame_no_other_error_page(portal_gateway: Gateway, path):
    assert ancestors(portal_gateway.get(path, BROWSERS)) == "'none'"


def test_error_in_place_of_page_is_shown_in_frame(portal_gateway: Gateway, monkeypatch):
    def fail(request: object) -> None:
        raise DatabaseUnavailable("The database does not answer.")

    monkeypatch.setattr(views, "visitor_of", fail)
    response = portal_gateway.get("/", BROWSERS)
    assert response.status == 500
    assert ancestors(response) == f"{PORTAL} {OTHER}"
    assert response.headers["X-Frame-Options"] is None


def test_cookies_are_never_sent_to_frames_of_other_sites(portal_gateway: Gateway):
    (cookie,) = portal_gateway.get("/").headers.get_all("Set-Cookie")
    assert {"SameSite=Strict", "Secure"} <= set(cookie.split("; "))
