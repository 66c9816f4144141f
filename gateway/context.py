from dataclasses import dataclass, field
from typing import Any

# The one key that we add to an ASGI scope.
_KEY = "lesionserve.context"

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class RequestContext:
    """What a request carries from the outermost middleware to its answer."""

    request_id: str
    correlation_id: str | None
    rate_limits: Headers = field(default_factory=list)  # headers of the answer, once counted


def with_context(scope: Any, context: RequestContext) -> Any:
    """Return a copy of the ASGI scope that carries the context."""
    return {**scope, _KEY: context}


def context_of(scope: Any) -> RequestContext:
    """Return the context of a request from its ASGI scope."""
    context: RequestContext = scope[_KEY]
    return context


def path_of(scope: Any) -> str:
    """Return the path as Django's routing sees it: without the prefix of a mounted gateway."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
