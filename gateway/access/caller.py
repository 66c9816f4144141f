from dataclasses import dataclass

from gateway.audit.models import Source
from gateway.errors import Forbidden
from gateway.people.models import Organisation
from gateway.people.scopes import PROBE


@dataclass(frozen=True, slots=True)
class Caller:
    """The caller of a request: a program with a key (`key_id`) or a signed-in person (`user`)."""

    organisation: Organisation
    scopes: frozenset[str]
    key_id: str = ""
    user: str = ""
    requests_per_minute: int | None = None
    requests_per_day: int | None = None

    @property
    def name(self) -> str:
        """Return a name that is unique among all callers."""
        return f"key:{self.key_id}" if self.key_id else f"user:{self.user}"

    @property
    def is_probe(self) -> bool:
        """Return whether the caller's requests are probes: its only scope says so, no header."""
        return self.scopes == {PROBE}

    @property
    def identity(self) -> tuple[Organisation, str, str, Source]:
        """Return what a record says of its caller: organisation, key's id, user name, source."""
        source = Source.PROBE if self.is_probe else Source.CLIENT
        return self.organisation, self.key_id, self.user, source

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the caller has the scope."""
        if scope not in self.scopes:
            raise Forbidden(
                f"This needs the scope {scope!r}, which the credential does not have; ask your "
                "operator for a key with it."
            )
