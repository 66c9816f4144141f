"""HTTP clients of the command."""

import ipaddress
import ssl

import httpx

from pipeline.errors import ServiceError

_PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def open_client(url: str, verify: ssl.SSLContext, timeout_s: float) -> httpx.Client:
    """Return a client for this gateway. Raises ServiceError for a proxy that cannot be used.

    The loopback address is asked directly, whatever proxy the environment names; for every other
    host the variables mean what they mean to other programs.
    """
    try:
        return httpx.Client(verify=verify, timeout=timeout_s, trust_env=not is_loopback(url))
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        names = ", ".join(_PROXY_VARIABLES)
        raise ServiceError(f"a proxy variable ({names}) cannot be used: {error}") from error


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is this machine itself."""
    host = httpx.URL(url).host.rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def url_fault(url: str) -> str | None:
    """Return why the URL names no gateway; None for one that does."""
    try:
        parsed = httpx.URL(url)
        parsed.host.encode("idna")  # as the resolver does, whose error would come too late
    except (httpx.InvalidURL, UnicodeError) as error:
        return str(error)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        return "it begins with https:// or http:// and a host"
    if parsed.port is not None and not 0 < parsed.port < 65536:
        return "there is no such port"
    if not url.isprintable() or " " in url:
        return "it holds a space or a control character"
    if parsed.userinfo:
        return "it holds a user name; the key goes into --key or the environment"
    if parsed.query or parsed.fragment:
        return "it ends after the path, without ? and #"
    return None
