"""The errors of lesionserve, each with the HTTP status that it becomes.

LesionserveError
├── BadRequest                 400  an option or a body that does not fit the contract
├── ImageError                      the image is at fault
│   ├── UnsupportedImage       415  not one of the allowed formats
│   ├── BrokenImage            422  an allowed format, but damaged or out of bounds
│   └── ImageTooLarge          413  more bytes or pixels than allowed
├── ModelError                 500  what was handed over as a model is at fault
│   ├── UnreadableConfig            no YAML mapping where a configuration should be
│   ├── UnsupportedConfig           a key whose value the engine cannot honour
│   ├── CheckpointMismatch          weights and configuration do not fit each other
│   ├── BundleError                 a bundle is incomplete, damaged or incompatible
│   └── EngineUnavailable           no installed engine can run the configuration
└── ServiceError                    the request was fine, the service was not
    ├── Unauthorized           401  no valid credential
    ├── Overloaded             503  no room for the request now; try again
    ├── Unavailable            503  nobody there to answer it now; try again
    ├── PredictionFailed       500  the model failed on this image
    ├── Poison                 502  two replicas died of this image, or with it
    └── DeadlineExceeded       504  not finished within the time allowed

An error's text may reach the client: it never holds a file name, a path of the
server, or anything read from the image's metadata.
"""

from typing import ClassVar

from pipeline.text import one_line


class LesionserveError(Exception):
    """Base of every error raised on purpose. `str(error)` is one clear sentence."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    title: ClassVar[str] = "Internal error"


class BadRequest(LesionserveError):
    status, code, title = 400, "bad_request", "Bad request"


class ImageError(LesionserveError):
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


class Unauthorized(ServiceError):
    status, code, title = 401, "unauthorized", "Unauthorized"


class Overloaded(ServiceError):
    status, code, title = 503, "overloaded", "Service overloaded"


class Unavailable(ServiceError):
    status, code, title = 503, "unavailable", "Service unavailable"


class PredictionFailed(ServiceError):
    status, code, title = 500, "prediction_failed", "Prediction failed"


class Poison(ServiceError):
    status, code, title = 502, "poison", "Model lost with the image"


class DeadlineExceeded(ServiceError):
    status, code, title = 504, "deadline_exceeded", "Deadline exceeded"
