"""Make the HTTP clients of the command."""

import ipaddress
import ssl
from contextlib import suppress
from urllib.request import getproxies, proxy_bypass

import httpx

from pipeline.errors import ServiceError


def open_client(url: str, verify: ssl.SSLContext, timeout_s: float) -> httpx.Client:
    """Return a client for this gateway. Raise ServiceError for a proxy that cannot be used."""
    proxy = proxy_for(url)
    try:
        return httpx.Client(verify=verify, timeout=timeout_s, trust_env=False, proxy=proxy)
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        raise ServiceError(
            "the proxy of the environment (HTTP_PROXY, HTTPS_PROXY, ALL_PROXY) cannot be used: "
            f"{error}"
        ) from error


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for this URL.

    The loopback address has none, whatever the environment says. NO_PROXY is read as by other
    programs: hosts, domains and networks; entries of other kinds are ignored.
    """
    parsed = httpx.URL(url)
    proxies = getproxies()
    proxy = (proxies.get(parsed.scheme) or proxies.get("all") or "").strip()
    if not proxy or is_loopback(url) or _is_excepted(parsed, proxies.get("no", "")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_excepted(url: httpx.URL, no_proxy: str) -> bool:
    if proxy_bypass(url.host) or proxy_bypass(f"{url.host}:{url.port}"):
        return True
    for entry in no_proxy.split(","):
        with suppress(ValueError):
            network = ipaddress.ip_network(entry.strip().strip("[]"), strict=False)
            if ipaddress.ip_address(url.host) in network:
                return True
    return False


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
    """Return what is wrong with the form of a gateway's URL, or None."""
    try:
        parsed = httpx.URL(url)
        parsed.host.encode("idna")  # the resolver does it too, but its error comes too late
    except (httpx.InvalidURL, UnicodeError) as error:
        return str(error)
    if parsed.scheme not in ("http", "https") or not parsed.host:
        return "one begins with https:// or http:// and a host"
    if parsed.port is not None and not 0 < parsed.port < 65536:
        return "there is no such port"
    if not url.isprintable() or " " in url:
        return "it holds a space or a control character"
    if parsed.userinfo:
        return "it holds a user name; the key goes into --key or the environment"
    if parsed.query or parsed.fragment:
        return "one ends after the path, without ? and #"
    return None
