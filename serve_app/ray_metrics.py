import threading
import time
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ray.serve.metrics import Counter, Gauge, Histogram

from pipeline.bundle.golden import Agreement
from pipeline.model_info import ModelInfo
from serve_app.metrics import Stage

# Ray's agent drops a gauge that is not set again within two of its report intervals, 20 s.
_REPEAT_S = 5.0

_SECONDS: list[float] = [
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1,
    1.5,
    2,
    2.5,
    3,
    4,
    5,
    7.5,
    10,
    15,
    30,
    60,
]
_IMAGES: list[float] = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64]
_MODEL_TAGS = ("model", "version", "bundle_sha256", "engine", "precision")
_NO_TAGS: Mapping[str, str] = MappingProxyType({})


class RayMetrics:
    """The metrics of one replica, which Ray exports on its node's metrics port.

    Ray prefixes the names with `ray_`, and adds the deployment, the replica and the application.
    To be made in the replica. A model's names and versions are bounded in its manifest, so no tag
    is open-ended.
    """

    def __init__(self) -> None:
        self._stage = Histogram(
            "lesionserve_stage_seconds",
            "Seconds of a stage for one image; the predictor's include its queue.",
            _SECONDS,
            ("stage",),
        )
        self._batch = Histogram("lesionserve_batch_images", "Images in a batch.", _IMAGES)
        self._wait = Histogram(
            "lesionserve_batch_wait_seconds",
            "Seconds for which an image waited for its batch.",
            _SECONDS,
        )
        self._ungradable = Counter(
            "lesionserve_ungradable_images_total", "Images that are not gradable.", ("reason",)
        )
        self._golden = Counter(
            "lesionserve_golden_checks_total", "Runs of the golden cases.", ("result",)
        )
        self._weights = Counter(
            "lesionserve_weights_checks_total",
            "Comparisons of the weights in memory with those that were loaded.",
            ("result",),
        )
        self._waiting = _LastingGauge("waiting_images", "Images that wait for the model.")
        self._model = _LastingGauge("model_info", "1, for the model that is loaded.", _MODEL_TAGS)
        self._golden_at = _LastingGauge(
            "golden_success_timestamp_seconds", "When all golden cases were last reproduced."
        )
        self._score = _LastingGauge(
            "golden_max_score_difference", "Of a lesion, in the last run of the golden cases."
        )
        self._iou = _LastingGauge(
            "golden_min_mask_iou", "Of a lesion's mask, in the last run of the golden cases."
        )
        self._box = _LastingGauge(
            "golden_max_box_pixels", "Of a box's side, in the last run of the golden cases."
        )
        self._weights_at = _LastingGauge(
            "weights_success_timestamp_seconds", "When the weights were last found unchanged."
        )
        self._thread: threading.Thread | None = None

    def stage_took(self, stage: Stage, seconds: float) -> None:
        self._stage.observe(seconds, {"stage": stage})

    def batch_starts(self, waited_s: Sequence[float]) -> None:
        self._batch.observe(len(waited_s))
        for seconds in waited_s:
            self._wait.observe(seconds)

    def images_wait(self, images: int) -> None:
        self._waiting.set(images)

    def image_ungradable(self, reasons: Sequence[str]) -> None:
        for reason in reasons:
            self._ungradable.inc(tags={"reason": reason})

    def model_loaded(self, model: ModelInfo) -> None:
        self._model.set(
            1,
            {
                "model": model.name,
                "version": model.version,
                "bundle_sha256": model.bundle_sha256,
                "engine": model.engine,
                "precision": model.precision,
            },
        )
        self._waiting.set(0)
        if self._thread is None:
            self._thread = threading.Thread(target=self._repeat, name="gauges", daemon=True)
            self._thread.start()

    def golden_reproduced(self, agreement: Agreement) -> None:
        self._golden.inc(tags={"result": "reproduced"})
        self._golden_at.set(time.time())
        self._score.set(agreement.max_score_difference)
        self._iou.set(agreement.min_mask_iou)
        self._box.set(agreement.max_box_pixels)

    def golden_differs(self) -> None:
        self._golden.inc(tags={"result": "differs"})

    def weights_unchanged(self) -> None:
        self._weights.inc(tags={"result": "unchanged"})
        self._weights_at.set(time.time())

    def weights_changed(self) -> None:
        self._weights.inc(tags={"result": "changed"})

    def _repeat(self) -> None:
        gauges = (
            self._waiting,
            self._model,
            self._golden_at,
            self._score,
            self._iou,
            self._box,
            self._weights_at,
        )
        while True:
            time.sleep(_REPEAT_S)
            for gauge in gauges:
                gauge.repeat()


class _LastingGauge:
    """A gauge whose last value can be set again."""

    def __init__(self, name: str, description: str, tag_keys: tuple[str, ...] = ()) -> None:
        keys: Any = tag_keys  # Ray's annotation says one key
        self._gauge = Gauge(f"lesionserve_{name}", description, keys)
        self._last: tuple[float, dict[str, str]] | None = None

    def set(self, value: float, tags: Mapping[str, str] = _NO_TAGS) -> None:
        self._last = value, dict(tags)
        self._gauge.set(*self._last)

    def repeat(self) -> None:
        if self._last is not None:
            self._gauge.set(*self._last)
