from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.schemas import PredictOptions
from serve_app.args import AppArgs, Fused
from serve_app.metrics import MakeMetrics, NoMetrics
from serve_app.pixels import PixelBudget
from serve_app.stages import OpenBundle, Postprocess, Predictor, Preprocess


class FusedPipeline:
    """The three stages in one replica, of the fused layout."""

    def __init__(
        self, args: AppArgs, open_bundle: OpenBundle, make_metrics: MakeMetrics = NoMetrics
    ) -> None:
        metrics = make_metrics()
        with ThreadPoolExecutor(1) as pool:  # the decoders start while the model loads
            preprocess = pool.submit(Preprocess, args, open_bundle, lambda: metrics)
            self._predictor = Predictor(args, open_bundle, lambda: metrics)
        self._preprocess = preprocess.result()
        self._postprocess = Postprocess(args, lambda: metrics)
        assert isinstance(args.graph, Fused), "the stages share a replica in the fused layout"
        self._pixels = PixelBudget(args.graph.max_decoded_pixels)

    async def __call__(
        self,
        request_id: str,
        data: bytes,
        options: PredictOptions,
        correlation_id: str | None = None,
    ) -> bytes:
        await self._predictor.require_sound()
        header = await self._preprocess.inspect(data)
        async with self._pixels.take(header.width * header.height):
            prepared = await self._preprocess(data)
            predicted = await self._predictor(prepared)
            answer = await self._postprocess(
                request_id, prepared, predicted, options, correlation_id
            )
        await self._predictor.require_sound()
        return answer

    async def manifest(self) -> dict[str, Any]:
        return await self._predictor.manifest()

    async def golden(self) -> bytes:
        return await self._predictor.golden()

    async def profile(self) -> bytes:
        return await self._predictor.profile()

    async def check_health(self) -> None:
        await self._predictor.check_health()
