"""The errors that only a gateway knows, as branches of pipeline.errors' tree.

LesionserveError
├── ClientError
│   ├── InvalidApiKey                   401  (an Unauthorized) the key is missing or invalid
│   ├── Forbidden                       403
│   ├── NotFound                        404
│   ├── MethodNotAllowed                405
│   ├── RequestTimeout                  408  the body was not sent in time
│   ├── Conflict                        409  a request with this idempotency key is in progress
│   ├── FeedbackOutdated                409  it follows a version that is not the caller's latest
│   ├── LengthRequired                  411  the request has no Content-Length
│   ├── BodyTooLarge                    413
│   ├── UnsupportedMediaType            415
│   ├── IdempotencyKeyReused            422  the key was used for another request
│   ├── FeedbackMismatch                422  a verdict that does not fit the record of the answer
│   ├── TooManyRequests                 429  a key, an organisation or an address is over its limit
│   └── HeadersTooLarge                 431
└── ServiceError
    ├── InternalError                   500
    ├── UpstreamFault                   502  the ingress gave no answer that can be relayed
    │   └── UpstreamCertificateInvalid  502  its certificate is not trusted
    └── Unavailable                     503  the ingress cannot be reached
        ├── UpstreamLost                503  one attempt at the ingress got no answer
        │   ├── UpstreamDisconnected    503  the connection to it was lost
        │   ├── UpstreamInterrupted     503  a proxy before it lost it, or could not reach it
        │   └── UpstreamUnreached       503  a proxy before it could not send the image anywhere
        ├── NotReady                    503  no model can answer yet
        └── DatabaseUnavailable         503  (gateway.database) the request cannot be recorded
"""

from django.utils.translation import gettext_noop

from gateway.details import METHODS
from pipeline.errors import (
    RETRY_AFTER_S,
    BadRequest,
    ClientError,
    LesionserveError,
    ServiceError,
    Unauthorized,
    Unavailable,
)

# How long sign-in stays locked after too many wrong passwords.
LOCKOUT_S = 15 * 60

_CHALLENGE = 'Api-Key realm="lesionserve"'


class InvalidApiKey(Unauthorized):
    def __init__(self) -> None:
        super().__init__(gettext_noop("A valid API key is required."), _CHALLENGE)


class Forbidden(ClientError):
    status, code, title = 403, "forbidden", "Forbidden"


class NotFound(ClientError):
    status, code, title = 404, "not_found", "Not found"


class MethodNotAllowed(ClientError):
    status, code, title = 405, "method_not_allowed", "Method not allowed"

    def __init__(self, allow: str) -> None:
        super().__init__(METHODS % {"allow": allow})
        self.allow = allow


class Conflict(ClientError):
    status, code, title = 409, "conflict", "Conflict"
    retry_after_s = RETRY_AFTER_S


class RequestTimeout(ClientError):
    status, code, title = 408, "request_timeout", "Request timeout"


class LengthRequired(ClientError):
    status, code, title = 411, "length_required", "Length required"


class BodyTooLarge(ClientError):
    status, code, title = 413, "body_too_large", "Body too large"


class UnsupportedMediaType(ClientError):
    status, code, title = 415, "unsupported_media_type", "Unsupported media type"


class IdempotencyKeyReused(ClientError):
    status, code, title = 422, "idempotency_key_reused", "Idempotency key reused"


class FeedbackMismatch(ClientError):
    status, code, title = 422, "feedback_mismatch", "Feedback does not fit"


class FeedbackOutdated(ClientError):
    status, code, title = 409, "feedback_outdated", "Feedback outdated"


class HeadersTooLarge(ClientError):
    status, code, title = 431, "headers_too_large", "Request header fields too large"


class TooManyRequests(ClientError):
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


class UpstreamLost(Unavailable):
    pass


class UpstreamDisconnected(UpstreamLost):
    pass


class UpstreamInterrupted(UpstreamLost):
    pass


class UpstreamUnreached(UpstreamLost):
    pass


class NotReady(Unavailable):
    code, title = "not_ready", "Service not ready"


def error_of_response(status: int, allow: str) -> LesionserveError:
    """Return the error for a response that Django or a library made, from its status."""
    if status == 401:
        return InvalidApiKey()
    if status == 403:
        return Forbidden(
            gettext_noop("Your account or key may not do this; ask your operator for the right.")
        )
    if status == 404:
        return NotFound("There is nothing here; mind the slash at the end of /predict/.")
    if status == 405:
        return MethodNotAllowed(allow)
    if status == 413:
        return BodyTooLarge(gettext_noop("The body is too large."))
    if status == 429:
        return TooManyRequests(gettext_noop("Too many attempts; wait before the next."), LOCKOUT_S)
    if status < 500:
        return BadRequest(
            gettext_noop("The request is malformed; check its address, its headers and its form.")
        )
    return InternalError(gettext_noop("The request could not be completed."))
