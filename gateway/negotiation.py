"""Which errors a browser is shown as a page: those of an address that a person opened."""

import re
from typing import Any

from gateway.context import path_of

# The first segment of each path that programs call: their errors are JSON whatever is accepted.
API = frozenset({"predict", "usage", "records", "healthz", "readyz", "metrics", "openapi.json"})
_JSON = ("application/problem+json", "application/json")
# Browsers send about 150 bytes; a longer header is not parsed.
_MAX_ACCEPT = 1024
_QUALITY = re.compile(r";\s*q\s*=\s*(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)\s*(?:;|$)", re.IGNORECASE)


def wants_page(scope: dict[str, Any]) -> bool:
    """Tell whether the client of this request prefers HTML to JSON (RFC 9110, 12.5.1).

    Always False for the API's paths, and where both are accepted alike.
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
    """Return the quality of each media range, `text/*` and `*/*` among them."""
    ranges = {}
    for element in header.split(","):
        media = element.partition(";")[0].strip().lower()
        quality = _QUALITY.search(element)
        ranges[media] = 1.0 if quality is None else float(quality[1])
    return ranges


def _quality(ranges: dict[str, float], media: str) -> float:
    """Return the quality of a media type by the most specific range that holds it."""
    group = f"{media.partition('/')[0]}/*"
    return next((ranges[name] for name in (media, group, "*/*") if name in ranges), 0.0)
