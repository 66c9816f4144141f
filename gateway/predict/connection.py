import ssl
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path

import httpx

from gateway.predict.alternative_service import AlternativeService

_LIMITS = httpx.Limits(
    # Far more than any ingress serves at once; requests beyond it are shed, not queued.
    max_connections=128,
    max_keepalive_connections=32,
    # Shorter than the keep-alive time of every server between here and the graph (uvicorn 5 s by
    # default, Ray Serve 90 s), so that no request is sent on a connection that is just closing.
    keepalive_expiry=3.0,
)
_CONNECT_S = 2.0
_POOL_S = 0.5


def connect(
    url: str,
    token: str,
    ca: Path | None = None,
    certificate: Path | None = None,
    *,
    follows: bool = True,
) -> httpx.AsyncClient:
    """Return a client of the ingress, with a connection pool.

    `certificate` (PEM, with its key) authenticates the gateway to an ingress that asks for one.
    follows: whether images go to the port that the ingress names in Alt-Svc. Raise ssl.SSLError
    where `ca` holds no certificate.
    """
    direct = httpx.AsyncHTTPTransport(
        verify=_trust(ca, certificate), limits=_LIMITS, trust_env=False
    )
    return httpx.AsyncClient(
        base_url=url,
        headers={
            "Authorization": f"Bearer {token}",
            "User-Agent": "lesionserve-gateway",
            "Accept-Encoding": "identity",  # no compression, which could inflate
        },
        # The deadline bounds reading and writing; these bound what must be quick.
        timeout=httpx.Timeout(None, connect=_CONNECT_S, pool=_POOL_S),
        transport=AlternativeService(direct) if follows else direct,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),  # cookies are never stored
        trust_env=False,  # no proxy, and no credentials from a .netrc
    )


def _trust(ca: Path | None, certificate: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=None if ca is None else str(ca))
    if certificate is not None:
        context.load_cert_chain(str(certificate))
    return context
