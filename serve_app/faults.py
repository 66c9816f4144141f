from ray.exceptions import (
    NodeDiedError,
    ObjectLostError,
    ObjectStoreFullError,
    OutOfMemoryError,
    RayActorError,
    RayError,
    RayTaskError,
    WorkerCrashedError,
)
from ray.serve.exceptions import (
    BackPressureError,
    DeploymentUnavailableError,
    RayServeException,
    ReplicaUnavailableError,
)

from pipeline.errors import LesionserveError, Overloaded, PredictionFailed, Unavailable


class ReplicaLost(Unavailable):
    """The replica that worked on the request was lost; another one may answer it."""


# Every error that a deployment handle raises, including those of a stage.
RAY_ERRORS = (RayError, RayServeException)

_REPLICA_LOST = (
    RayActorError,
    WorkerCrashedError,
    NodeDiedError,
    ObjectLostError,  # the holder of a stage's output died before the next stage read it
    OutOfMemoryError,  # Ray killed the replica because its node ran out of memory
    ReplicaUnavailableError,
)


def translate(error: BaseException) -> LesionserveError:
    """Return the LesionserveError for one of RAY_ERRORS."""
    # Each stage wraps the error of the stage before it once more.
    while isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        error = error.cause
    if isinstance(error, LesionserveError):
        return error
    # Where a chain of calls breaks, Serve raises an error of its own with the death as its cause.
    if isinstance(error, _REPLICA_LOST) or isinstance(error.__cause__, _REPLICA_LOST):
        return ReplicaLost("The replica that worked on the request was lost.")
    if isinstance(error, DeploymentUnavailableError):
        return Unavailable("The model is not loaded.")
    if isinstance(error, BackPressureError | ObjectStoreFullError):
        return Overloaded("Too many requests are waiting.")
    return PredictionFailed("The service failed on this image.")
