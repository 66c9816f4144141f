"""The errors of lesionserve, each with the HTTP status that it becomes.

LesionserveError
├── ClientError                     the request is at fault
│   ├── BadRequest             400  an option or a body does not fit the contract
│   ├── Unauthorized           401  the credential is missing or invalid
│   └── ImageError                  the image is at fault
│       ├── UnsupportedImage   415  it has none of the allowed formats
│       ├── BrokenImage        422  it is damaged, or out of bounds
│       └── ImageTooLarge      413  it has more bytes or pixels than allowed
├── ModelError                 500  what was handed over as a model is at fault
│   ├── UnreadableConfig            the configuration is not a YAML mapping
│   ├── UnsupportedConfig           the engine cannot honour the value of a key
│   ├── CheckpointMismatch          weights and configuration do not fit each other
│   ├── BundleError                 a bundle is incomplete, damaged or incompatible
│   └── EngineUnavailable           no installed engine can run the configuration
└── ServiceError                    the request was fine, the service was not
    ├── Overloaded             503  the service is at capacity; try again
    ├── Unavailable            503  no replica can answer now; try again
    ├── PredictionFailed       500  the model failed on this image
    ├── PoisonImage            502  two replicas were lost while they worked on this image
    └── DeadlineExceeded       504  the answer was not ready within the time allowed

An error's text may reach the client: it never holds a file name, a path of the
server, or anything read from the image's metadata.
"""

from typing import ClassVar

from pipeline.text import one_line

# How soon a request may be sent again that the service could not take.
RETRY_AFTER_S = 2


class LesionserveError(Exception):
    """Base of every error raised on purpose. `str(error)` is one clear sentence."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    retry_after_s: int | None = None  # when to send the request again, in seconds from now
    challenge: str | None = None  # the credential to send: scheme and realm
    allow: str | None = None  # the methods that the address allows

    def headers(self) -> dict[str, str]:
        """Return the response headers that tell a client what to do about the error."""
        values = {
            "Retry-After": self.retry_after_s,
            "WWW-Authenticate": self.challenge,
            "Allow": self.allow,
        }
        return {name: str(value) for name, value in values.items() if value is not None}


class ClientError(LesionserveError):
    status, code, title = 400, "bad_request", "Bad request"


class BadRequest(ClientError):
    pass


class Unauthorized(ClientError):
    status, code, title = 401, "unauthorized", "Unauthorized"

    def __init__(self, detail: str, challenge: str) -> None:
        super().__init__(detail)
        self.challenge = challenge


class ImageError(ClientError):
    status, code, title = 422, "image_error", "Image not accepted"


class UnsupportedImage(ImageError):
    status, code, title = 415, "unsupported_image", "Unsupported image type"


class BrokenImage(ImageError):
    status, code, title = 422, "broken_image", "Image cannot be read"


class ImageTooLarge(ImageError):
    status, code, title = 413, "image_too_large", "Image too large"


class ModelError(LesionserveError):
    """A model that is at fault. The text is one line of at most about 1 kB, whatever it quotes."""

    status, code, title = 500, "model_error", "Model error"

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class UnreadableConfig(ModelError):
    pass


class UnsupportedConfig(ModelError):
    """A configuration that an engine cannot run. `other_engine` is the one that can, if any."""

    def __init__(self, message: str, other_engine: str | None = None) -> None:
        super().__init__(message)
        self.other_engine = other_engine


class CheckpointMismatch(ModelError):
    pass


class BundleError(ModelError):
    pass


class EngineUnavailable(ModelError):
    pass


class ServiceError(LesionserveError):
    pass


class Overloaded(ServiceError):
    status, code, title = 503, "overloaded", "Service overloaded"
    retry_after_s = RETRY_AFTER_S


class Unavailable(ServiceError):
    status, code, title = 503, "unavailable", "Service unavailable"
    retry_after_s = RETRY_AFTER_S


class PredictionFailed(ServiceError):
    status, code, title = 500, "prediction_failed", "Prediction failed"


class PoisonImage(ServiceError):
    status, code, title = 502, "poison", "Model lost with the image"


class DeadlineExceeded(ServiceError):
    status, code, title = 504, "deadline_exceeded", "Deadline exceeded"
