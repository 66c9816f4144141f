"""Read the client's own id of a case or request: an optional short pseudonym."""

import re
from collections.abc import Sequence

from pipeline.errors import BadRequest

HEADER = "X-Correlation-Id"

# The pattern fits a UUID, a DICOM UID or a ULID, and excludes most names, addresses, markup and
# formulas.
PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
MAX_LENGTH = 64

_WELL_FORMED = re.compile(PATTERN.removesuffix("$") + r"\Z")


def well_formed(values: Sequence[str]) -> str | None:
    """Return the id, or None unless the header has exactly one well-formed value.

    values: all values of the request's header.
    """
    return values[0] if len(values) == 1 and _WELL_FORMED.match(values[0]) else None


def read_correlation_id(values: Sequence[str]) -> str | None:
    """Return the id, or None where the request has no such header.

    values: all values of the request's header. Raise BadRequest for a malformed or repeated id.
    """
    if not values:
        return None
    if (id_ := well_formed(values)) is None:
        raise BadRequest(
            f"{HEADER} must be one id of 1 to {MAX_LENGTH} letters, digits and . _ : - that "
            "begins with a letter or digit. Send a pseudonym, never a name or a number of a "
            "patient."
        )
    return id_
