"""The client's IP address, as the server reports it.

The server trusts a proxy's forwarding headers only where `--forwarded-allow-ips` names the proxy.
"""

from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from django.http import HttpRequest


def address_of(scope: Mapping[str, Any]) -> str | None:
    """Return the client's address from an ASGI scope, or None where there is none."""
    client = scope.get("client")
    return None if client is None else _normalise(client[0])


def address_of_request(request: HttpRequest) -> str | None:
    """Return the client's address from one of Django's requests."""
    return _normalise(request.META.get("REMOTE_ADDR", ""))


def client_of(scope: Mapping[str, Any]) -> str:
    """Return what stands for one client in rate limits: its address, or the /64 of an IPv6 address.

    A client may use every address of its /64.
    """
    address = address_of(scope)
    if address is None:
        return "unknown"
    return str(ip_network(f"{address}/64", strict=False)) if ":" in address else address


def _normalise(host: str) -> str | None:
    """Return the address in its canonical form: databases store that, and the seal must match."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)
