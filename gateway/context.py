from dataclasses import dataclass, field
from typing import Any

# The only key that the gateway adds to an ASGI scope.
_KEY = "lesionserve.context"

Headers = list[tuple[bytes, bytes]]


@dataclass(slots=True)
class RequestContext:
    """The state of one request, from the outermost middleware to its answer."""

    request_id: str
    correlation_id: str | None
    # Response headers, set once the request is counted.
    rate_limits: Headers = field(default_factory=list)


def with_context(scope: Any, context: RequestContext) -> Any:
    """Return a copy of the ASGI scope that carries the context."""
    return {**scope, _KEY: context}


def context_of(scope: Any) -> RequestContext:
    """Return the context of a request from its ASGI scope."""
    context: RequestContext = scope[_KEY]
    return context


def path_of(scope: Any) -> str:
    """Return the path that Django routes: without the prefix of a mounted gateway."""
    path: str = scope["path"]
    return path.removeprefix(scope.get("root_path", ""))
