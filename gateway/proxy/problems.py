from gateway.errors import Conflict, MethodNotAllowed, TooManyRequests
from pipeline.errors import LesionserveError, Unauthorized
from pipeline.schemas import Problem

MEDIA_TYPE = "application/problem+json"

# What is refused for want of room or of a part may be asked for again this soon.
RETRY_AFTER_S = 2

Headers = list[tuple[bytes, bytes]]


def problem(
    error: LesionserveError, request_id: str, correlation_id: str | None = None
) -> tuple[Headers, bytes]:
    """Headers and body of the answer to an error: the one place where errors become HTTP."""
    body = Problem.of(error, request_id, correlation_id).model_dump_json().encode()
    headers = [
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    if isinstance(error, Unauthorized):
        headers.append((b"www-authenticate", b'Api-Key realm="lesionserve"'))
    elif isinstance(error, MethodNotAllowed):
        headers.append((b"allow", error.allow.encode("latin-1")))
    elif isinstance(error, TooManyRequests):
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    elif isinstance(error, Conflict) or error.status == 503:
        headers.append((b"retry-after", str(RETRY_AFTER_S).encode()))
    return headers, body
