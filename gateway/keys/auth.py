from ipaddress import IPv6Address, ip_address
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from gateway.database import in_database
from gateway.keys.caller import Caller
from gateway.keys.limits import headers, refuse_excess
from gateway.keys.models import ApiKey
from gateway.keys.session import caller_of_session
from gateway.keys.token import Token
from pipeline.errors import Unauthorized

# Stands in for what is no token, so that every refusal costs the same. No key has this id.
_NOBODY = Token(id="", secret="")  # nosec B106, it opens nothing

_WHITESPACE = " \t"  # HTTP's; Python's own `strip` takes away a no-break space, too

CREDENTIALS = (b"authorization", b"x-api-key")


async def authenticate(scope: dict[str, Any]) -> Caller:
    """Whoever is behind the request, from its ASGI scope.

    A program shows a key, in `Authorization: Api-Key …` or `X-API-Key`; a person's browser the
    cookie of a session, which counts only where no key is shown. Raises one and the same
    Unauthorized whatever is wrong with the credential, TooManyRequests after many of these from
    one address, and Forbidden where a person's request may be forged.
    """
    shown = [(name.lower(), value) for name, value in scope["headers"]]
    credentials = [one for one in shown if one[0] in CREDENTIALS]
    if not credentials and _has_session(shown):
        caller = await in_database(caller_of_session, scope)
    else:
        caller = await in_database(_caller_of_key, _token(credentials) or _NOBODY)
    if caller is None:
        await scope["state"]["limiter"].count_failure(address_of(scope) or "unknown")
        raise Unauthorized("A valid API key is required.")
    return caller


async def allow(scope: dict[str, Any], caller: Caller, needed: str) -> None:
    """Asks for a scope, and counts the request; what is left goes into `scope["rate_limits"]`.

    Raises Forbidden or TooManyRequests.
    """
    caller.require(needed)
    standings = await scope["state"]["limiter"].count(caller)
    scope["rate_limits"] = headers(standings)
    refuse_excess(standings)


def address_of(scope: dict[str, Any]) -> str | None:
    """Where the request came from, as the server tells: it believes a proxy's headers only where
    it is told to."""
    client = scope.get("client")
    return None if client is None else _address(client[0])


def address_of_request(request: HttpRequest) -> str | None:
    """The same of one of Django's requests."""
    return _address(request.META.get("REMOTE_ADDR", ""))


def _address(host: str) -> str | None:
    """In the one spelling that every database gives back, or a seal over it would not hold."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return str(mapped or address)


def _caller_of_key(token: Token) -> Caller | None:
    key = ApiKey.objects.authenticate(token, timezone.now())
    if key is None:
        return None
    return Caller(
        key.organisation,
        frozenset(key.scopes),
        key_id=key.id,
        requests_per_minute=key.requests_per_minute,
        requests_per_day=key.requests_per_day,
    )


def _has_session(headers: list[tuple[bytes, bytes]]) -> bool:
    cookie = settings.SESSION_COOKIE_NAME.encode() + b"="
    return any(name == b"cookie" and cookie in value for name, value in headers)


def _token(credentials: list[tuple[bytes, bytes]]) -> Token | None:
    """None unless there is exactly one credential, well-formed."""
    if len(credentials) != 1:
        return None
    name, value = credentials[0][0], credentials[0][1].decode("latin-1").strip(_WHITESPACE)
    if name == b"authorization":
        scheme, _, value = value.partition(" ")
        if scheme.lower() != "api-key":
            return None
    return Token.parse(value.strip(_WHITESPACE))
