import asyncio
from typing import Any, Protocol

from ray.serve.handle import DeploymentHandle

from pipeline.schemas import PredictOptions
from serve_app.args import AppArgs
from serve_app.faults import RAY_ERRORS, translate
from serve_app.stages import OpenBundle, Pipeline
from serve_app.watch import StageWatch


class Graph(Protocol):
    """The stages as the ingress sees them, wherever they run."""

    async def predict(
        self,
        request_id: str,
        data: bytes,
        options: PredictOptions,
        correlation_id: str | None = None,
    ) -> bytes:
        """The Prediction in JSON. Raises LesionserveError; ReplicaLost where asking again helps.

        Cancelling the call cancels what it started.
        """
        ...

    async def manifest(self) -> dict[str, Any]:
        """The manifest of the loaded model; waits until one is loaded."""
        ...

    async def check_health(self) -> None:
        """Raises where something in this replica is stuck."""
        ...


class FusedGraph:
    """No hop: the pipeline is in the ingress's own replica, and dies with it."""

    def __init__(self, args: AppArgs, open_bundle: OpenBundle) -> None:
        self._pipeline = Pipeline(args, open_bundle)
        # Whoever waits holds a file, and not yet an image decoded.
        self._slots = asyncio.Semaphore(args.graph.model.max_ongoing_requests)

    async def predict(
        self,
        request_id: str,
        data: bytes,
        options: PredictOptions,
        correlation_id: str | None = None,
    ) -> bytes:
        async with self._slots:
            return await self._pipeline(request_id, data, options, correlation_id)

    async def manifest(self) -> dict[str, Any]:
        return await self._pipeline.manifest()

    async def check_health(self) -> None:
        await self._pipeline.check_health()


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
        self._watch = StageWatch()

    async def predict(
        self,
        request_id: str,
        data: bytes,
        options: PredictOptions,
        correlation_id: str | None = None,
    ) -> bytes:
        chain = self._chain(request_id, data, options, correlation_id)
        encoded: bytes = await self._watch.result(chain)
        return encoded

    async def _chain(
        self, request_id: str, data: bytes, options: PredictOptions, correlation_id: str | None
    ) -> Any:
        prepared = self._preprocess.remote(data)
        found = self._predictor.remote(prepared)
        answer = self._postprocess.remote(request_id, prepared, found, options, correlation_id)
        return await _last(prepared, found, answer)

    async def manifest(self) -> dict[str, Any]:
        call = _last(self._predictor.manifest.remote())
        manifest: dict[str, Any] = await self._watch.result(call)
        return manifest

    async def check_health(self) -> None:
        """The stages are replicas of their own, which Serve checks one by one."""


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
