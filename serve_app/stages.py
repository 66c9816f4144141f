import asyncio
from asyncio import sleep
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

from pipeline.bundle.bundle import Bundle
from pipeline.bundle.profile import ProfileReport
from pipeline.embedding import EmbeddingDistance
from pipeline.errors import PredictionFailed
from pipeline.image.decode import DecodedImage
from pipeline.image.decoder_pool import DecoderPool
from pipeline.image.inspect import Header, inspect
from pipeline.image.quality import measure
from pipeline.image.resize import ModelInput
from pipeline.instances import Instances, no_instances
from pipeline.model_info import ModelInfo
from pipeline.postprocess import postprocess
from pipeline.schemas import ImageStatistics, PredictOptions, Quality
from pipeline.tracing.spans import annotate
from serve_app.args import AppArgs
from serve_app.batching import Batcher
from serve_app.logs import serve_logger
from serve_app.metrics import MakeMetrics, NoMetrics
from serve_app.replica import start_replica
from serve_app.self_check import SelfCheckFailed, SelfChecks
from serve_app.threads import in_thread
from serve_app.tracing import stage
from serve_app.withholding import open_assessor

_log = serve_logger()

OpenBundle = Callable[[Path], Bundle]

# Of the images that `golden` returns, in all.
_MAX_GOLDEN_BYTES = 16 * 1024 * 1024
# Before a replica refuses: one that refuses at once looks idle, and Serve would send it most of the
# requests of the deployment.
_REFUSES_AFTER_S = 0.5


@dataclass(frozen=True, slots=True)
class Prepared:
    """The output of Preprocess. Both arrays may be read-only: they come from Ray's object store."""

    source: DecodedImage
    model_input: ModelInput
    statistics: ImageStatistics
    took_ms: float


@dataclass(frozen=True, slots=True)
class Predicted:
    """The output of Predictor, with the identity of the model that it comes from.

    input_size: (height, width) of the model input, in whose pixels the instances are. quality: by
    the limits of that model; where it says so, there are no instances because they are withheld.
    embedding_distance: as in Prediction; the embedding itself stays in the predictor.
    """

    instances: Instances
    input_size: tuple[int, int]
    model: ModelInfo
    class_names: tuple[str, ...]
    quality: Quality
    embedding_distance: float | None
    took_ms: float


class Preprocess:
    """The first stage: decode an image file, in a process of its own; measure and resize it."""

    def __init__(
        self, args: AppArgs, open_bundle: OpenBundle, make_metrics: MakeMetrics = NoMetrics
    ) -> None:
        start_replica()
        self._metrics = make_metrics()
        self._limits = args.image
        self._resize = open_bundle(args.model.bundle).resize
        self._decoders = DecoderPool(args.threads, args.image, args.decode_cpu_s)
        self._pool = ThreadPoolExecutor(args.threads, thread_name_prefix="preprocess")

    @stage("preprocess")
    async def __call__(self, data: bytes) -> Prepared:
        return await in_thread(self._pool, self._prepare, data)

    async def inspect(self, data: bytes) -> Header:
        """Return the header of the image file. Raise ImageError."""
        return await in_thread(self._pool, inspect, data, self._limits)

    def _prepare(self, data: bytes) -> Prepared:
        started = perf_counter()
        source = self._decoders.decode(data)
        model_input = self._resize(source.pixels)
        statistics = measure(source.pixels)
        self._metrics.stage_took("preprocess", perf_counter() - started)
        return Prepared(source, model_input, statistics, _since(started))


class Predictor:
    """The second stage: run the model on batches. It starts only if the golden cases reproduce.

    A replica whose `SelfChecks` fail later refuses every request, until Serve has replaced it.
    """

    def __init__(
        self, args: AppArgs, open_bundle: OpenBundle, make_metrics: MakeMetrics = NoMetrics
    ) -> None:
        """Load the model. Raise ModelError where it does not load or does not reproduce."""
        start_replica()
        self._metrics = make_metrics()
        self._stuck_after_s = args.model.stuck_after_s
        # A model for one thread is loaded in the thread that uses it.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._pool.submit(self._load, args, open_bundle).result()
        threads = self._engine.max_threads
        if threads > 1:
            self._pool = ThreadPoolExecutor(threads, thread_name_prefix="model")
        self._batcher = Batcher(
            self._predict,
            self._pool,
            max_running=threads,
            max_batch_size=args.model.max_batch_size,
            max_waiting=args.graph.model.max_ongoing_requests,  # as many as Serve admits
            metrics=self._metrics,
        )

    @stage("predictor")
    async def __call__(self, prepared: Prepared) -> Predicted:
        annotate(model=self._info.name, model_version=self._info.version)
        started = perf_counter()
        await self.require_sound()
        quality = self._assessor.assess(prepared.statistics)
        if quality.withheld:
            instances, shape = no_instances(), prepared.model_input.pixels.shape
        else:
            instances, shape = await self._find(prepared)
        distance = self._distance.of(instances.embedding)
        await self.require_sound()
        if quality.reasons:
            self._metrics.image_ungradable(quality.reasons)
        self._metrics.stage_took("predictor", perf_counter() - started)
        return Predicted(
            replace(instances, embedding=None),
            shape[:2],
            self._info,
            self._class_names,
            quality,
            distance,
            _since(started),
        )

    async def _find(self, prepared: Prepared) -> tuple[Instances, tuple[int, ...]]:
        """Return the instances in the picture, and the shape of the model input."""
        model_input = prepared.model_input
        if model_input.resize != self._resize:
            # During a roll, a Preprocess replica of another version may have prepared the image.
            model_input = await in_thread(self._pool, self._resize, prepared.source.pixels)
        return await self._batcher.submit(model_input), model_input.pixels.shape

    async def manifest(self) -> dict[str, Any]:
        """Return the manifest of the loaded model, with its engine, precision and threshold."""
        await self.require_sound()
        return self._manifest

    async def golden(self) -> bytes:
        """Return the golden cases of the loaded model as JSON, a GoldenReport."""
        await self.require_sound()
        report = await asyncio.to_thread(self._golden.report, _MAX_GOLDEN_BYTES)
        return report.model_dump_json().encode()

    async def profile(self) -> bytes:
        """Return the reference profile of the loaded model as JSON, a ProfileReport."""
        await self.require_sound()
        return self._profile

    async def require_sound(self) -> None:
        """Raise SelfCheckFailed, after a moment, where a check of the model has failed."""
        try:
            self._checks.require_sound()
        except SelfCheckFailed:
            await sleep(_REFUSES_AFTER_S)
            raise

    async def check_health(self) -> None:
        """Raise LesionserveError where this replica should be replaced.

        Serve calls this every two seconds, and the first call starts the self-checks.
        """
        self._checks.start(self._batcher.run_when_idle)
        self._checks.check_health()
        busy = self._batcher.busy_for()
        if busy > self._stuck_after_s:
            raise PredictionFailed(f"The model has been running one batch for {busy:.0f} s.")

    def _load(self, args: AppArgs, open_bundle: OpenBundle) -> None:
        model = args.model
        bundle = open_bundle(model.bundle)
        self._engine = bundle.load_engine(
            model.engine, model.device, model.precision, model.threads
        )
        self._golden = bundle.golden_check(self._engine)
        self._assessor = open_assessor(bundle, self._golden, args.ungradable)
        self._distance = EmbeddingDistance(bundle.embedding_reference(self._engine.precision))
        self._checks = SelfChecks(
            self._engine,
            self._golden,
            self._metrics,
            golden_every_s=model.golden_every_s,
            weights_every_s=model.weights_every_s,
        )
        self._resize = bundle.resize
        self._info = bundle.info(self._engine.name, self._engine.precision)
        self._class_names = tuple(bundle.class_names)
        report = ProfileReport(
            bundle_sha256=self._info.bundle_sha256,
            profile=bundle.profile,
            labels=self._info.labels,
            class_names=self._class_names,
        )
        self._profile = report.model_dump_json().encode()
        running = {"engine": self._info.engine, "precision": self._info.precision}
        self._manifest = bundle.manifest.model_dump(mode="json") | running
        self._manifest["score_threshold"] = self._golden.score_threshold
        self._metrics.model_loaded(self._info)
        _log.info("the model is loaded", asked_precision=model.precision, **running)

    def _predict(self, inputs: Sequence[ModelInput]) -> list[Instances]:
        self._checks.require_sound()
        try:
            return self._engine.predict(inputs)
        except RuntimeError as error:
            raise PredictionFailed("The model failed on this image.") from error


class Postprocess:
    """The last stage: write the instances as a Prediction in pixels of the source image."""

    def __init__(self, args: AppArgs, make_metrics: MakeMetrics = NoMetrics) -> None:
        self._metrics = make_metrics()
        self._pool = ThreadPoolExecutor(args.threads, thread_name_prefix="postprocess")
        start_replica()

    @stage("postprocess")
    async def __call__(
        self,
        request_id: str,
        prepared: Prepared,
        predicted: Predicted,
        options: PredictOptions,
        correlation_id: str | None = None,
    ) -> bytes:
        """Return the Prediction as JSON, which the ingress passes on unchanged."""
        return await in_thread(
            self._pool, self._answer, request_id, prepared, predicted, options, correlation_id
        )

    def _answer(
        self,
        request_id: str,
        prepared: Prepared,
        predicted: Predicted,
        options: PredictOptions,
        correlation_id: str | None,
    ) -> bytes:
        started = perf_counter()
        findings = postprocess(
            prepared.source,
            predicted.input_size,
            predicted.instances,
            predicted.class_names,
            options,
        )
        timings_ms = {
            "preprocess": prepared.took_ms,
            "predictor": predicted.took_ms,
            "postprocess": _since(started),
        }
        prediction = findings.answer(
            request_id,
            correlation_id,
            predicted.model,
            predicted.quality,
            predicted.embedding_distance,
            timings_ms,
        )
        self._metrics.stage_took("postprocess", perf_counter() - started)
        return prediction.model_dump_json().encode()


def _since(started: float) -> float:
    return (perf_counter() - started) * 1000
