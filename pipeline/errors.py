"""The errors of lesionserve, each with its HTTP status.

LesionserveError
├── ClientError                     the request is at fault
│   ├── BadRequest             400  an option or the body violates the contract
│   ├── Unauthorized           401  the credential is missing or invalid
│   └── ImageError                  the image is at fault
│       ├── UnsupportedImage   415  it is not of an accepted format
│       ├── BrokenImage        422  it is damaged, or its sides are out of bounds
│       └── ImageTooLarge      413  it has more bytes or pixels than allowed
├── ModelError                 500  the files of the model are at fault
│   ├── UnreadableConfig            the configuration is not a YAML mapping
│   ├── UnsupportedConfig           the engine does not support the value of a key
│   ├── CheckpointMismatch          weights and configuration do not match
│   ├── BundleError                 a bundle is incomplete, damaged or incompatible
│   ├── AnnotationError             annotated images do not serve to measure a model
│   └── EngineUnavailable           no installed engine can run the configuration
└── ServiceError                    the request is valid, the service is at fault
    ├── Overloaded             503  the service is at capacity; try again
    │   └── OutOfMemory             the model found no memory for this batch
    ├── Unavailable            503  no replica can answer now; try again
    ├── PredictionFailed       500  the model failed on this image
    ├── PoisonImage            502  two replicas died while they processed this image
    └── DeadlineExceeded       504  the answer was not ready within the time allowed

The text of an error may reach the client. It never contains the name of an uploaded
file, a path of the server, or metadata of the image.
"""

from typing import ClassVar

from pipeline.text import one_line

# The seconds after which a client may retry a request that the service could not accept.
RETRY_AFTER_S = 2


class LesionserveError(Exception):
    """The base of every error that is raised on purpose. `str(error)` is plain English."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"

    retry_after_s: int | None = None  # seconds after which the client may send the request again
    challenge: str | None = None  # scheme and realm of the credential to send
    allow: str | None = None  # the HTTP methods that the address allows

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
    """The files of a model are at fault. The text is one line of at most about 1 kB."""

    status, code, title = 500, "model_error", "Model error"

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class UnreadableConfig(ModelError):
    pass


class UnsupportedConfig(ModelError):
    """A configuration that an engine cannot run. `other_engine` names one that can, if any."""

    def __init__(self, message: str, other_engine: str | None = None) -> None:
        super().__init__(message)
        self.other_engine = other_engine


class CheckpointMismatch(ModelError):
    pass


class BundleError(ModelError):
    pass


class AnnotationError(ModelError):
    pass


class EngineUnavailable(ModelError):
    pass


class ServiceError(LesionserveError):
    pass


class Overloaded(ServiceError):
    status, code, title = 503, "overloaded", "Service overloaded"
    retry_after_s = RETRY_AFTER_S


class OutOfMemory(Overloaded):
    pass


class Unavailable(ServiceError):
    status, code, title = 503, "unavailable", "Service unavailable"
    retry_after_s = RETRY_AFTER_S


class PredictionFailed(ServiceError):
    status, code, title = 500, "prediction_failed", "Prediction failed"


class PoisonImage(ServiceError):
    status, code, title = 502, "poison", "Model lost with the image"


class DeadlineExceeded(ServiceError):
    status, code, title = 504, "deadline_exceeded", "Deadline exceeded"
