from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from pipeline.class_names import count_mismatch
from pipeline.embedding import EmbeddingDistance, EmbeddingReference
from pipeline.engines.base import Engine
from pipeline.errors import CheckpointMismatch
from pipeline.image.decode import decode
from pipeline.image.gradability import Assessor, QualityLimits
from pipeline.image.limits import DEFAULT_LIMITS, ImageLimits
from pipeline.image.quality import measure
from pipeline.image.resize import Resize
from pipeline.model_info import ModelInfo
from pipeline.postprocess import postprocess
from pipeline.schemas import Prediction, PredictOptions


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer, and the embedding of its image, as in `Instances`."""

    prediction: Prediction
    embedding: NDArray[np.float32] | None


class LesionPredictor:
    """All stages from the bytes of an image file to the answer, in this process."""

    def __init__(
        self,
        engine: Engine,
        resize: Resize,
        class_names: Sequence[str],
        info: ModelInfo,
        limits: ImageLimits = DEFAULT_LIMITS,
        quality_limits: QualityLimits | None = None,
        embedding: EmbeddingReference | None = None,
    ) -> None:
        if engine.num_classes != len(class_names):
            raise CheckpointMismatch(count_mismatch(engine.num_classes, class_names))
        self.engine = engine
        self.resize = resize
        self.class_names = tuple(class_names)
        self.info = info
        self.limits = limits
        self.assessor = Assessor(quality_limits)
        self.distance = EmbeddingDistance(embedding)

    def __call__(
        self, data: bytes, options: PredictOptions, request_id: str = "local"
    ) -> Prediction:
        """Return the prediction for an image file, gradable or not.

        Raise ImageError for one that is refused.
        """
        return self.answer(data, options, request_id).prediction

    def answer(self, data: bytes, options: PredictOptions, request_id: str = "local") -> Answer:
        """Return the prediction for an image file, with its embedding. Raise ImageError."""
        started = perf_counter()
        source = decode(data, self.limits)
        model_input = self.resize(source.pixels)
        quality = self.assessor.assess(measure(source.pixels))
        prepared = perf_counter()
        (instances,) = self.engine.predict([model_input])
        distance = self.distance.of(instances.embedding)
        predicted = perf_counter()
        shape = model_input.pixels.shape
        findings = postprocess(source, (shape[0], shape[1]), instances, self.class_names, options)
        finished = perf_counter()
        timings_ms = {
            "preprocess": 1000 * (prepared - started),
            "predictor": 1000 * (predicted - prepared),
            "postprocess": 1000 * (finished - predicted),
        }
        prediction = findings.answer(request_id, None, self.info, quality, distance, timings_ms)
        return Answer(prediction, instances.embedding)
