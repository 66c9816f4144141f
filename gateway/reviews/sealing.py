"""The subject of the event that seals a version of feedback."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from gateway.reviews.models import Version

_SUBJECT = re.compile(
    r"record:([0-9a-f-]{36})(?: version:([0-9]{1,9}) sha256:([0-9a-f]{64}))?(?: [a-z:0-9 ]*)?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Sealing:
    """What an event says of feedback: of which answer, which version, and its content's SHA-256.

    Events of before there were versions have neither.
    """

    request_id: UUID
    number: int | None
    digest: str | None

    @classmethod
    def parse(cls, subject: str) -> "Sealing | None":
        """Return the parsed subject, or None for another form, which only a forged event has."""
        match = _SUBJECT.fullmatch(subject)
        if match is None:
            return None
        request_id, number, digest = match.groups()
        return cls(UUID(request_id), None if number is None else int(number), digest)


def subject_of(request_id: UUID, version: Version, new: Mapping[str, int]) -> str:
    """Return the subject: at most 190 characters, which an event holds."""
    counts = "".join(f" {kind}:{count}" for kind, count in sorted(new.items()))
    return f"record:{request_id} version:{version.number} sha256:{version.digest}{counts}"
