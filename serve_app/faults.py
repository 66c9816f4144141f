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
    """A replica died under the request; another one may still answer it."""


# Whatever comes out of a deployment handle, a failed stage's own error included.
RAY_ERRORS = (RayError, RayServeException)

_DEATHS = (
    RayActorError,
    WorkerCrashedError,
    NodeDiedError,
    ObjectLostError,  # who held a stage's output died before the next stage read it
    OutOfMemoryError,  # Ray killed the replica to save its node
    ReplicaUnavailableError,
)


def translate(error: BaseException) -> LesionserveError:
    """Our error for one of RAY_ERRORS."""
    # Each later stage wraps a failed stage's error once more.
    while isinstance(error, RayTaskError) and isinstance(error.cause, BaseException):
        error = error.cause
    if isinstance(error, LesionserveError):
        return error
    # Where a chain breaks, Serve raises its own error from the death.
    if isinstance(error, _DEATHS) or isinstance(error.__cause__, _DEATHS):
        return ReplicaLost("The replica that worked on the request was lost.")
    if isinstance(error, DeploymentUnavailableError):
        return Unavailable("The model is not loaded.")
    if isinstance(error, BackPressureError | ObjectStoreFullError):
        return Overloaded("Too many requests are waiting.")
    return PredictionFailed("The service failed on this image.")
