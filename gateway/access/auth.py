from collections.abc import Mapping
from hmac import compare_digest
from typing import Any

from django.conf import settings
from django.utils import timezone

from gateway.access.caller import Caller
from gateway.access.limits import Limiter, raise_if_exceeded, ratelimit_headers
from gateway.access.metrics import REFUSED_CREDENTIALS
from gateway.access.models import ApiKey
from gateway.access.session import caller_of_session
from gateway.access.token import Token
from gateway.addresses import client_of
from gateway.audit.models import Source
from gateway.context import context_of
from gateway.database import in_database
from gateway.errors import InvalidApiKey
from gateway.http_headers import CREDENTIALS, Headers
from pipeline.tracing.spans import traced

# Replaces a malformed token, so that every refusal costs the same. No key has this id.
_NOBODY = Token(id="", secret="")  # nosec B106, it opens nothing

_WHITESPACE = " \t"  # HTTP's whitespace; Python's own `strip` removes a no-break space, too


@traced("authenticate")
async def authenticate(scope: Mapping[str, Any]) -> Caller:
    """Return the caller of a request, from its ASGI scope.

    A program sends a key, in `Authorization: Api-Key …` or `X-API-Key`. A person's browser sends a
    session cookie, which counts only without a key. Raise the same Unauthorized for every invalid
    credential, TooManyRequests after many of these from one address, and Forbidden where a person's
    request lacks a valid CSRF token.
    """
    shown = [(name.lower(), value) for name, value in scope["headers"]]
    credentials = [(name, value) for name, value in shown if name in CREDENTIALS]
    if not credentials and _has_session(shown):
        caller = await in_database(caller_of_session, scope)
    else:
        caller = await in_database(_caller_of_key, _token(credentials) or _NOBODY)
    if caller is None:
        REFUSED_CREDENTIALS.inc()
        await limiter_of(scope).count_failure(client_of(scope))
        raise InvalidApiKey()
    return caller


def source_of(headers: Headers) -> Source:
    """Return PROBE for a request with the key of the gateway's own probe, though it be revoked.

    What the probe is refused for is then not counted as a client's.
    """
    if settings.PROBE is None:
        return Source.CLIENT
    credentials = [(name.lower(), value) for name, value in headers if name.lower() in CREDENTIALS]
    token = _token(credentials)
    is_ours = token is not None and compare_digest(str(token), settings.PROBE.key)
    return Source.PROBE if is_ours else Source.CLIENT


@traced("authorise")
async def authorise(scope: Mapping[str, Any], caller: Caller, needed: str) -> None:
    """Require a scope, count the request, and store the remaining rate in the request's context.

    Raise Forbidden or TooManyRequests.
    """
    caller.require(needed)
    statuses = await limiter_of(scope).count(caller, client_of(scope))
    context_of(scope).rate_limits = ratelimit_headers(statuses)
    raise_if_exceeded(statuses)


def limiter_of(scope: Mapping[str, Any]) -> Limiter:
    """Return the server's rate limiter, which lives as long as the server."""
    limiter: Limiter = scope["state"]["limiter"]
    return limiter


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
    """Return the token, or None unless there is exactly one credential, and it is well-formed."""
    if len(credentials) != 1:
        return None
    name, value = credentials[0][0], credentials[0][1].decode("latin-1").strip(_WHITESPACE)
    if name == b"authorization":
        scheme, _, value = value.partition(" ")
        if scheme.lower() != "api-key":
            return None
    return Token.parse(value.strip(_WHITESPACE))
