"""The errors that only a gateway knows, as branches of pipeline.errors' tree.

LesionserveError
├── RequestRefused                           the request is at fault, whatever image it holds
│   ├── Forbidden                       403
│   ├── NotFound                        404
│   ├── MethodNotAllowed                405
│   ├── RequestTimeout                  408  a body that does not come to its end
│   ├── Conflict                        409  the same idempotency key is being answered now
│   ├── LengthRequired                  411  a body whose length is not announced
│   ├── BodyTooLarge                    413
│   ├── UnsupportedMediaType            415
│   ├── IdempotencyKeyReused            422  the key was used for another request
│   ├── TooManyRequests                 429  more than a key, an organisation or an address may
│   └── HeadersTooLarge                 431
└── ServiceError
    ├── InternalError                   500
    ├── UpstreamFault                   502  the ingress gave no answer that can be relayed
    │   └── UpstreamCertificateInvalid  502  its certificate is not one that we accept
    └── Unavailable                     503  pipeline.errors: here, the ingress cannot be reached
        ├── UpstreamDisconnected        503  the ingress was lost with the request
        ├── NotReady                    503  no model can answer yet
        └── DatabaseUnavailable         503  gateway.database: no request is served unrecorded
"""

from pipeline.errors import BadRequest, LesionserveError, ServiceError, Unauthorized, Unavailable

# How long someone who guessed at a person's password waits.
LOCKOUT_S = 15 * 60


class RequestRefused(LesionserveError):
    status, code, title = 400, "bad_request", "Bad request"


class Forbidden(RequestRefused):
    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(RequestRefused):
    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(RequestRefused):
    status, code, title = 405, "method_not_allowed", "Method not allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(f"Only {allow} is allowed here.")
        self.allow = allow


class Conflict(RequestRefused):
    status, code, title = 409, "conflict", "Conflict"


class RequestTimeout(RequestRefused):
    status, code, title = 408, "request_timeout", "Request timeout"


class LengthRequired(RequestRefused):
    status, code, title = 411, "length_required", "Length required"


class BodyTooLarge(RequestRefused):
    status, code, title = 413, "body_too_large", "Body too large"


class UnsupportedMediaType(RequestRefused):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class IdempotencyKeyReused(RequestRefused):
    status, code, title = 422, "idempotency_key_reused", "Idempotency key reused"


class HeadersTooLarge(RequestRefused):
    status, code, title = 431, "headers_too_large", "Request header fields too large"


class TooManyRequests(RequestRefused):
    status, code, title = 429, "too_many_requests", "Too many requests"

    def __init__(self, detail: str, retry_after_s: int) -> None:
        super().__init__(detail)
        self.retry_after_s = retry_after_s


class InternalError(ServiceError):
    pass


class UpstreamFault(ServiceError):
    status, code, title = 502, "upstream_fault", "Bad gateway"


class UpstreamCertificateInvalid(UpstreamFault):
    code = "upstream_distrusted"


class UpstreamDisconnected(Unavailable):
    pass


class NotReady(Unavailable):
    code, title = "not_ready", "Service not ready"


def error_of_response(status: int, allow: str) -> LesionserveError:
    """The error behind an answer that Django or a library made: all it tells is the status."""
    if status == 401:
        return Unauthorized("A valid API key is required.")
    if status == 403:
        return Forbidden("Your account or key may not do this; ask your operator for the right.")
    if status == 404:
        return NotFound("There is nothing here; mind the slash at the end of /predict/.")
    if status == 405:
        return MethodNotAllowed(allow)
    if status == 413:
        return BodyTooLarge("The body is too large.")
    if status == 429:
        return TooManyRequests("Too many attempts; wait before the next.", LOCKOUT_S)
    if status < 500:
        return BadRequest("The request is malformed; check its address, its headers and its form.")
    return InternalError("The request could not be completed.")
