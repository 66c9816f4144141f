import asyncio
from typing import Any, Protocol

from ray.serve.handle import DeploymentHandle

from pipeline.schemas import PredictOptions
from serve_app.args import AppArgs
from serve_app.faults import RAY_ERRORS, translate
from serve_app.fused_pipeline import FusedPipeline
from serve_app.metrics import MakeMetrics, NoMetrics
from serve_app.self_check import SelfCheckFailed
from serve_app.stages import OpenBundle
from serve_app.tracing import trace_arguments
from serve_app.watch import StageWatch

# How often predictors are asked that refuse because their self-check failed; each takes half a
# second to say so. Serve may choose the same one again until it is replaced.
_TRIES = 10


class Graph(Protocol):
    """The stages as the ingress calls them, in this replica or in others."""

    async def predict(
        self,
        request_id: str,
        data: bytes,
        options: PredictOptions,
        correlation_id: str | None = None,
    ) -> bytes:
        """Return the Prediction as JSON for an image file's bytes.

        Raise LesionserveError; ReplicaLost where a second call may succeed. Cancelling the call
        cancels the calls that it started.
        """
        ...

    async def manifest(self) -> dict[str, Any]:
        """Return the manifest of the loaded model; wait until one is loaded."""
        ...

    async def golden(self) -> bytes:
        """Return the golden cases of the loaded model as JSON; wait until one is loaded."""
        ...

    async def profile(self) -> bytes:
        """Return the reference profile of the loaded model as JSON; wait until one is loaded."""
        ...

    async def check_health(self) -> None:
        """Raise LesionserveError where this replica should be replaced."""
        ...


class FusedGraph:
    """The graph of the fused layout: all stages run in the ingress's own replica."""

    def __init__(
        self, args: AppArgs, open_bundle: OpenBundle, make_metrics: MakeMetrics = NoMetrics
    ) -> None:
        self._pipeline = FusedPipeline(args, open_bundle, make_metrics)
        # A waiting request holds the file only: images are decoded in a slot.
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

    async def golden(self) -> bytes:
        return await self._pipeline.golden()

    async def profile(self) -> bytes:
        return await self._pipeline.profile()

    async def check_health(self) -> None:
        await self._pipeline.check_health()


class StagedGraph:
    """The graph of the staged layout: a chain of calls to the stages' deployments.

    Arrays pass from stage to stage by reference, without going through the ingress. Serve counts a
    call as queued when its arguments are ready, so a stage's queue may exceed its limit by the
    requests in the stage before it; the sum of the limits still bounds all of them.
    """

    def __init__(
        self,
        preprocess: DeploymentHandle[Any],
        predictor: DeploymentHandle[Any],
        postprocess: DeploymentHandle[Any],
    ) -> None:
        # By reference, even if small: by value, over gRPC, a chain waited for ever after its
        # predictor had died.
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
        prepared = self._preprocess.remote(data, **trace_arguments())
        for _ in range(_TRIES - 1):
            try:
                return await self._predict(prepared, request_id, options, correlation_id)
            except SelfCheckFailed:
                # That replica has not looked at the image, so the image is not the cause.
                continue
        return await self._predict(prepared, request_id, options, correlation_id)

    async def _predict(
        self, prepared: Any, request_id: str, options: PredictOptions, correlation_id: str | None
    ) -> Any:
        trace = trace_arguments()
        predicted = self._predictor.remote(prepared, **trace)
        answer = self._postprocess.remote(
            request_id, prepared, predicted, options, correlation_id, **trace
        )
        return await _last(prepared, predicted, answer)

    async def manifest(self) -> dict[str, Any]:
        call = _last(self._predictor.manifest.remote())
        manifest: dict[str, Any] = await self._watch.result(call)
        return manifest

    async def golden(self) -> bytes:
        report: bytes = await self._watch.result(_last(self._predictor.golden.remote()))
        return report

    async def profile(self) -> bytes:
        report: bytes = await self._watch.result(_last(self._predictor.profile.remote()))
        return report

    async def check_health(self) -> None:
        """Return: Serve checks the stages by themselves, each in its own replica."""


async def _last(*chain: Any) -> Any:
    """Return the result of the last DeploymentResponse of a chain. Raise LesionserveError."""
    try:
        return await chain[-1]
    except RAY_ERRORS as error:
        raise translate(error) from error
    except asyncio.CancelledError:
        # Cancelling the await does not cancel the calls.
        for response in chain:
            response.cancel()
        raise
