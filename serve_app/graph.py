import asyncio
from typing import Any, Protocol

from ray.serve.handle import DeploymentHandle

from pipeline.decode import inspect
from pipeline.schemas import PredictOptions
from serve_app.args import AppArgs
from serve_app.faults import RAY_ERRORS, translate

# Above, the copies cost more than the object store. Far below gRPC's limit, so that the boxes and
# the masks of an answer always fit beside its picture.
_BY_VALUE_BYTES = 1024 * 1024


class Graph(Protocol):
    """The stages as the ingress sees them, wherever they run."""

    async def predict(self, request_id: str, data: bytes, options: PredictOptions) -> bytes:
        """The Prediction in JSON. Raises LesionserveError; ReplicaLost where asking again helps.

        Cancelling the call cancels what it started.
        """
        ...

    async def manifest(self) -> dict[str, Any]:
        """The manifest of the loaded model; waits until one is loaded."""
        ...


class FusedGraph:
    """One hop: a replica of Pipeline does it all.

    By value, the hop goes over gRPC at two thirds of the processor time of an actor call, but a
    message has at most 4 MiB. By reference, what is large goes through the object store.
    """

    def __init__(self, args: AppArgs, pipeline: DeploymentHandle[Any]) -> None:
        self._limits = args.image
        self._by_value = pipeline.options(_by_reference=False)
        self._by_reference = pipeline.options(_by_reference=True)

    async def predict(self, request_id: str, data: bytes, options: PredictOptions) -> bytes:
        pipeline = self._by_value if self._is_small(data, options) else self._by_reference
        answer: bytes = await _last(pipeline.remote(request_id, data, options))
        return answer

    async def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = await _last(self._by_value.manifest.remote())
        return manifest

    def _is_small(self, data: bytes, options: PredictOptions) -> bool:
        """Whether the file and its answer certainly fit into a message."""
        if len(data) > _BY_VALUE_BYTES or options.masks == "polygon":
            return False  # the image's size bounds no polygon
        if options.masks == options.visualization == "none":
            return True
        # A picture takes six bytes a pixel at the very most, encoded and in base64. Masks take a
        # dozen characters a column each, however ragged: a hundred of them a byte a pixel.
        info = inspect(data, self._limits)
        per_pixel = 1 if options.visualization == "none" else 6
        return per_pixel * info.width * info.height <= _BY_VALUE_BYTES


class StagedGraph:
    """A chain of replicas. Its arrays go from stage to stage by reference, not through here.

    Serve counts a call as queued only once its arguments are there, so each stage's queue may
    overshoot its limit by what the stage before it holds; the limits bound the sum all the same.
    """

    def __init__(
        self,
        preprocess: DeploymentHandle[Any],
        predictor: DeploymentHandle[Any],
        postprocess: DeploymentHandle[Any],
    ) -> None:
        # Not by value, however small: a chain over gRPC was seen to wait for ever once its
        # predictor had died under it.
        self._preprocess = preprocess.options(_by_reference=True)
        self._predictor = predictor.options(_by_reference=True)
        self._postprocess = postprocess.options(_by_reference=True)

    async def predict(self, request_id: str, data: bytes, options: PredictOptions) -> bytes:
        prepared = self._preprocess.remote(data)
        found = self._predictor.remote(prepared)
        answer = self._postprocess.remote(request_id, prepared, found, options)
        encoded: bytes = await _last(prepared, found, answer)
        return encoded

    async def manifest(self) -> dict[str, Any]:
        manifest: dict[str, Any] = await _last(self._predictor.manifest.remote())
        return manifest


async def _last(*chain: Any) -> Any:
    """The result of the last of `chain`, DeploymentResponses; Ray's errors end here."""
    try:
        return await chain[-1]
    except RAY_ERRORS as error:
        raise translate(error) from error
    except asyncio.CancelledError:
        # Serve lets the calls run on where only their awaiting was cancelled.
        for response in chain:
            response.cancel()
        raise
