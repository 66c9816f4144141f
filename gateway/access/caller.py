from dataclasses import dataclass

from gateway.errors import Forbidden
from gateway.people.models import Organisation


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

    def require(self, scope: str) -> None:
        """Raise Forbidden unless the caller has the scope."""
        if scope not in self.scopes:
            raise Forbidden(
                f"This needs the scope {scope!r}, which the credential does not have; ask your "
                "operator for a key with it."
            )
