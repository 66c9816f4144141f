"""An OpenID provider of the test's own, and a browser that signs in at it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import oidc_provider_mock
import pytest

from gateway.sign_in_variables import OpenIdSettings, Place

PLACES = {
    "gynaecology": Place(organisation="a clinic", role="clinician"),
    "audit": Place(organisation="a clinic", role="auditor"),
    "elsewhere": Place(organisation="elsewhere", role="clinician"),
    "nowhere": Place(organisation="no such organisation", role="clinician"),
}


@contextmanager
def running_provider() -> Iterator[str]:
    """Run a provider, and give its issuer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")  # it is on loopback
        with oidc_provider_mock.run_server_in_thread(require_nonce=True) as server:
            yield f"http://localhost:{server.server_port}"


def set_person(issuer: str, subject: str, **claims: Any) -> None:
    """Give the provider a person, or other claims to one that it has."""
    httpx.put(f"{issuer}/users/{subject}", json=claims, trust_env=False).raise_for_status()


def authorize(address: str, subject: str) -> str:
    """Sign in at the provider as its page does it, and return the path of the way back."""
    response = httpx.post(address, data={"sub": subject}, trust_env=False)
    assert response.status_code == 302, response.text
    parts = urlsplit(response.headers["Location"])
    return f"{parts.path}?{parts.query}"


def settings_for(issuer: str, **changes: Any) -> OpenIdSettings:
    values = {
        "issuer": issuer,
        "client_id": "lesionserve",
        "client_secret": "a secret: of & the client",
        "name": "St. Mary",
        "scopes": "openid profile email",
        "ca": None,
        "links_by_email": True,
        "groups_claim": "groups",
        "places": PLACES,
        "second_factor": "claimed",
    }
    return OpenIdSettings(**values | changes)
