from collections.abc import Iterator, Mapping
from itertools import product

from prometheus_client import Counter, Gauge, Histogram

# Both modules hold errors, whose codes are series from the start.
from gateway import database, errors  # noqa: F401
from gateway.audit.models import Record, Source, State
from gateway.metrics import SECONDS, by_label
from pipeline.errors import LesionserveError
from pipeline.schemas import Prediction

ANSWERED, REFUSED, LOST = "answered", "refused", "lost"

_OUTCOMES = tuple(state.value for state in State if state != State.RECEIVED)
_STAGES = ("preprocess", "predictor", "postprocess")

# More labels than a model that people work with has; a faulty ingress could send any number.
_LABELS_AT_MOST = 200
OTHER_LABELS = "(other)"

IN_FLIGHT = Gauge(
    "lesionserve_gateway_in_flight", "Requests to /predict/ now.", multiprocess_mode="livesum"
)
MAX_IN_FLIGHT = Gauge(
    "lesionserve_gateway_max_in_flight",
    "Images that may be in memory at once.",
    multiprocess_mode="livesum",
)
CIRCUIT_OPEN = Gauge(
    "lesionserve_gateway_circuit_open",
    "1 while no image is sent upstream.",
    multiprocess_mode="livemax",
)
RETRIES = Counter("lesionserve_gateway_retries", "Images sent upstream again.")
RETRIES_OVER_BUDGET = Counter(
    "lesionserve_gateway_retries_over_budget", "Images that the budget did not let be sent again."
)
REPLAYS = Counter("lesionserve_gateway_replays", "Requests answered with a stored answer.")

REQUESTS = Counter(
    "lesionserve_gateway_requests", "Requests to /predict/ that ended.", ["outcome", "source"]
)
LATENCY = Histogram(
    "lesionserve_gateway_latency_seconds",
    "From the request's headers to its answer.",
    ["outcome", "source"],
    buckets=SECONDS,
)
ERRORS = Counter("lesionserve_gateway_errors", "Clients' requests to /predict/ refused.", ["code"])
UPSTREAM = Histogram(
    "lesionserve_gateway_upstream_seconds",
    "Each image sent upstream, from its first byte to the last of the answer.",
    ["result"],
    buckets=SECONDS,
)
STAGE = Histogram(
    "lesionserve_gateway_stage_seconds",
    "The stages of the answered images, as the answers have them.",
    ["stage"],
    buckets=SECONDS,
)
QUEUE_WAIT = Histogram(
    "lesionserve_gateway_queue_wait_seconds",
    "Of the answered images, the seconds upstream outside the stages.",
    buckets=SECONDS,
)
DETECTIONS = Counter("lesionserve_gateway_detections", "Lesions in clients' answers.", ["label"])
SCORES = Histogram(
    "lesionserve_gateway_detection_score",
    "The scores of the lesions in clients' answers.",
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
)
PER_IMAGE = Histogram(
    "lesionserve_gateway_detections_per_image",
    "Lesions in each of the clients' answers.",
    buckets=(0, 1, 2, 3, 5, 8, 13, 20, 50, 100),
)

# Each series exists before its first event, which `increase()` would miss otherwise.
_requests = {pair: REQUESTS.labels(*pair) for pair in product(_OUTCOMES, Source.values)}
_latency = {pair: LATENCY.labels(*pair) for pair in product(_OUTCOMES, Source.values)}
_upstream = by_label(UPSTREAM, (ANSWERED, REFUSED, LOST))
_stages = by_label(STAGE, _STAGES)
_detections: dict[str, Counter] = {}


def _codes(error: type[LesionserveError] = LesionserveError) -> Iterator[str]:
    yield error.code
    for branch in error.__subclasses__():
        yield from _codes(branch)


by_label(ERRORS, sorted(set(_codes())))


def observe(record: Record, prediction: Prediction | None = None) -> None:
    """Count a record that has reached its final state, with the prediction of its answer."""
    series = str(record.state), str(record.source)
    _requests[series].inc()
    if record.latency_ms is not None:  # of an unknown outcome nobody knows it
        _latency[series].observe(record.latency_ms / 1000)
    if record.source != Source.CLIENT:
        return
    if record.error_code:
        ERRORS.labels(record.error_code).inc()
    if record.state == State.SUCCEEDED and record.replayed:
        REPLAYS.inc()  # its detections were counted with the first request
    elif record.state == State.SUCCEEDED and prediction is not None:
        _observe_detections(prediction)


def observe_attempt(result: str, seconds: float) -> None:
    """Count an image that was sent upstream."""
    _upstream[result].observe(seconds)


def observe_stages(timings_ms: Mapping[str, float], seconds: float) -> None:
    """Count the times of the stages of one answer, and what is left of its seconds upstream."""
    left = seconds
    for stage, histogram in _stages.items():
        milliseconds = timings_ms.get(stage, -1.0)
        if 0 <= milliseconds <= seconds * 1000:  # anything else is not of this attempt
            histogram.observe(milliseconds / 1000)
            left -= milliseconds / 1000
    QUEUE_WAIT.observe(max(0.0, left))


def _observe_detections(prediction: Prediction) -> None:
    if not prediction.is_withheld:
        PER_IMAGE.observe(len(prediction.detections))
    # All classes of the model, so that each one's series exists before its first lesion.
    for label in prediction.metrics.class_distribution:
        _detections_of(label)
    for detection in prediction.detections:
        SCORES.observe(detection.score)
        _detections_of(detection.label).inc()


def _detections_of(label: str) -> Counter:
    series = _detections.get(label)
    if series is None:
        if len(_detections) >= _LABELS_AT_MOST:
            return DETECTIONS.labels(OTHER_LABELS)
        series = _detections[label] = DETECTIONS.labels(label)
    return series
