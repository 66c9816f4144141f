"""Validation of the ingress's responses, which are trusted no more than a stranger's."""

from pydantic import ValidationError

from gateway.errors import (
    UpstreamDisconnected,
    UpstreamFault,
    UpstreamInterrupted,
    UpstreamLost,
    UpstreamUnreached,
)
from gateway.predict.image_request import ImageRequest
from pipeline.errors import (
    BadRequest,
    BrokenImage,
    DeadlineExceeded,
    ImageTooLarge,
    LesionserveError,
    Overloaded,
    PoisonImage,
    Unavailable,
    UnsupportedImage,
)
from pipeline.schemas import Prediction, Problem

# Errors that the client gets as the ingress reported them. Any other refusal (of the service token,
# of the path) is a fault between gateway and ingress.
_RELAYED = {
    error.code: error
    for error in (
        BadRequest,
        UnsupportedImage,
        BrokenImage,
        ImageTooLarge,
        Overloaded,
        Unavailable,
        PoisonImage,
        DeadlineExceeded,
    )
}

# The codes with which cluster/nginx says that it got no answer from a node or an ingress.
_PROXY_ERRORS: dict[str, type[UpstreamLost]] = {
    "unreached": UpstreamUnreached,
    "interrupted": UpstreamInterrupted,
}

# Ray Serve's own responses are plain text: it sheds load with 429 or 503, times out with 408, and
# sends 500 where an ingress replica dies during a request.
_SHED = (429, 503)
# Sent by any other proxy before the ingress, which lost the ingress or cannot reach it.
_BAD_GATEWAY = 502
_GAVE_UP = (408, 504)
# Ray's proxy has no application: its node has just joined the cluster, or was given up by it.
_NO_APPLICATION = 404

_LONGEST_DETAIL = 1000


def parse_prediction(body: bytes, request: ImageRequest) -> Prediction:
    """Return the prediction. Raise UpstreamFault for anything else.

    It must be of an identified model, and of this request: its image, options and correlation id.
    Fields of a later version are ignored, so that the serving half may be upgraded first.
    """
    try:
        prediction = Prediction.model_validate_json(body, strict=True, extra="ignore")
    except ValidationError as error:
        raise UpstreamFault("The inference service gave no valid answer.") from error
    if not _is_of(request, prediction):
        raise UpstreamFault("The inference service answered another request.")
    is_drawn = request.options.visualization != "none"
    has_picture = prediction.visualization is not None
    if has_picture != is_drawn or not prediction.model.bundle_sha256:
        raise UpstreamFault("The inference service gave no valid answer.")
    return prediction


def _is_of(request: ImageRequest, prediction: Prediction) -> bool:
    """Return whether the prediction is of the request. An older serving half names no digest."""
    asked = request.request_id, request.correlation_id, request.options
    answered = prediction.request_id, prediction.correlation_id, prediction.options
    return (
        answered == asked
        and request.header.agrees_with(prediction.image)
        and prediction.image.sha256 in (None, request.sha256)
    )


def parse_problem(status: int, body: bytes, request_id: str) -> LesionserveError:
    """Return the error for a response whose status is not 200."""
    try:
        problem = Problem.model_validate_json(body, strict=True, extra="ignore")
    except ValidationError:
        return error_for_status(status)
    if problem.code in _PROXY_ERRORS:
        return _PROXY_ERRORS[problem.code]("The inference service cannot be reached.")
    error = _RELAYED.get(problem.code)
    if (
        error is None
        or (error.status, request_id) != (status, problem.request_id)
        or not problem.detail.isprintable()
        or len(problem.detail) > _LONGEST_DETAIL
    ):
        return UpstreamFault("The inference service failed.")
    return error(problem.detail)


def error_for_status(status: int) -> LesionserveError:
    if status in _SHED:
        return Overloaded("The inference service is at capacity; try again.")
    if status == _NO_APPLICATION:
        return UpstreamUnreached("The inference service has no application.")
    if status in _GAVE_UP:
        return DeadlineExceeded("The inference service did not finish in time.")
    if status == _BAD_GATEWAY:
        return UpstreamInterrupted("The inference service cannot be reached.")
    if status >= 500:
        return UpstreamDisconnected("The inference service broke off; try again.")
    return UpstreamFault("The inference service failed.")
