"""The choice between a problem response as JSON and as a page for a browser."""

import re
from typing import Any

from gateway.context import path_of

# The first path segments of the API: its errors are JSON, whatever the client accepts.
API = frozenset({"predict", "usage", "records", "healthz", "readyz", "metrics", "openapi.json"})
_JSON = ("application/problem+json", "application/json")
# Browsers send about 150 bytes; a longer Accept header is not parsed.
_MAX_ACCEPT = 1024
_QUALITY = re.compile(r";\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE)


def wants_page(scope: dict[str, Any]) -> bool:
    """Return whether the client prefers HTML to JSON (RFC 9110, section 12.5.1).

    False for the API's paths, and where both are equally acceptable.
    """
    if path_of(scope).removeprefix("/").partition("/")[0] in API:
        return False
    values = [value for name, value in scope["headers"] if name.lower() == b"accept"]
    header = b",".join(values).decode("latin-1")
    if len(header) > _MAX_ACCEPT:
        return False
    ranges = _ranges(header)
    return _quality(ranges, "text/html") > max(_quality(ranges, media) for media in _JSON)


def _ranges(header: str) -> dict[str, float]:
    """Return the quality of each media range, including `text/*` and `*/*`."""
    ranges = {}
    for element in header.split(","):
        media = element.partition(";")[0].strip().lower()
        quality = _QUALITY.search(element)
        ranges[media] = 1.0 if quality is None else float(quality[1])
    return ranges


def _quality(ranges: dict[str, float], media: str) -> float:
    """Return the quality of a media type by the most specific range that matches it."""
    group = f"{media.partition('/')[0]}/*"
    return next((ranges[name] for name in (media, group, "*/*") if name in ranges), 0.0)
