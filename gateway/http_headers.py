from collections.abc import Iterable, Sequence
from typing import Any

from django.conf import settings
from django.http.request import split_domain_port, validate_host
from django.utils.translation import gettext_noop

from gateway.details import HEADERS
from gateway.errors import (
    BodyTooLarge,
    Forbidden,
    HeadersTooLarge,
    LengthRequired,
    UnsupportedMediaType,
)
from pipeline.errors import BadRequest
from pipeline.http import correlation
from pipeline.http.multipart import media_type

# Headers that may hold an API key.
CREDENTIALS = (b"authorization", b"x-api-key")

_MAX_HEADERS = 32 * 1024
_MAX_CONTENT_TYPE = 1024
_CORRELATION_ID = correlation.HEADER.lower().encode()

Headers = Iterable[tuple[bytes, bytes]]


def values(headers: Headers, name: bytes) -> list[str]:
    """Return every value of one header of an ASGI scope; `name` is in lower case."""
    # Strip HTTP's whitespace only: Python's own `strip` removes a no-break space, too.
    return [value.decode("latin-1").strip(" \t") for key, value in headers if key.lower() == name]


def bound_headers(headers: Headers) -> None:
    """Raise HeadersTooLarge for header fields beyond the limits.

    uvicorn accepts megabytes, and Django's parser of parameters takes quadratic time in the length
    of a content type.
    """
    longest = {b"content-type": _MAX_CONTENT_TYPE}
    total = 0
    for name, value in headers:
        total += len(name) + len(value)
        if len(value) > longest.get(name.lower(), _MAX_HEADERS) or total > _MAX_HEADERS:
            most = {"all": _MAX_HEADERS, "type": _MAX_CONTENT_TYPE}
            raise HeadersTooLarge(HEADERS % most)


def require_host(headers: Headers, allowed: Sequence[str]) -> None:
    """Raise BadRequest unless the request names exactly one host, and that host is allowed."""
    hosts = values(headers, b"host")
    name = split_domain_port(hosts[0])[0] if len(hosts) == 1 else ""
    if not (name and validate_host(name, allowed)):
        raise BadRequest(
            gettext_noop(
                "This service is not known under that host name. Use the name that your operator "
                "gave you, or have it added to the gateway's allowed hosts."
            )
        )


def correlation_id_of(headers: Headers) -> str | None:
    """Return the request's correlation id, or None where it is absent or malformed."""
    return correlation.well_formed(values(headers, _CORRELATION_ID))


def require_correlation_id(headers: Headers) -> None:
    """Raise BadRequest for a correlation id that is malformed or repeated."""
    correlation.read_correlation_id(values(headers, _CORRELATION_ID))


def require_https(scope: dict[str, Any]) -> None:
    """Raise Forbidden for a request over plain HTTP, where HTTPS_ONLY is set."""
    if settings.HTTPS_ONLY and scope["scheme"] != "https":
        raise Forbidden(
            "HTTPS is required. Treat a key that was sent over plain HTTP as compromised."
        )


def refuse_key_in_plain_text(scope: dict[str, Any]) -> None:
    """Raise Forbidden for a request that shows an API key over plain HTTP (`require_https`)."""
    if any(name.lower() in CREDENTIALS for name, _ in scope["headers"]):
        require_https(scope)


def require_length(headers: Headers) -> None:
    """Raise LengthRequired for a chunked body, whose length is unknown in advance."""
    if values(headers, b"transfer-encoding"):
        raise LengthRequired(
            "The body comes in chunks; announce its length in Content-Length instead."
        )


def body_length(headers: Headers, limit: int) -> int:
    """Return the announced length of the body, 0 without one, before any of it is read.

    Raise LengthRequired for a chunked body, BodyTooLarge above `limit`, or BadRequest.
    """
    require_length(headers)
    lengths = values(headers, b"content-length")
    if not lengths:
        return 0
    if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdigit()):
        raise BadRequest("Content-Length must be one number, the length of the body in bytes.")
    if len(lengths[0]) > 18 or int(lengths[0]) > limit:
        raise BodyTooLarge(f"The body has more than the {limit} bytes that are allowed.")
    return int(lengths[0])


def content_type(headers: Headers) -> str:
    """Return the one Content-Type of a request that has passed `require_multipart`."""
    return values(headers, b"content-type")[0]


def require_multipart(headers: Headers) -> None:
    """Raise UnsupportedMediaType unless the body is plain multipart/form-data."""
    types = values(headers, b"content-type")
    if len(types) != 1 or media_type(types[0]) != "multipart/form-data":
        raise UnsupportedMediaType(
            "The body is no form. Send the image as multipart/form-data, as its part 'file'."
        )
    encodings = [encoding.lower() for encoding in values(headers, b"content-encoding")]
    if encodings not in ([], ["identity"]):
        raise UnsupportedMediaType(
            "A body with a Content-Encoding is not read; send the form without compressing it."
        )
