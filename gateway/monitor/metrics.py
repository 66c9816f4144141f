import os

from prometheus_client import Counter, Gauge, Histogram

from gateway.monitor.models import ProbeRun
from gateway.monitor.runs import ProbeState

_NAME = "lesionserve_gateway_probe"

RUNS = Counter(f"{_NAME}_runs", "Probes that this process sent.", ["result"])
for _result in ProbeRun.Result.values:
    RUNS.labels(_result)
SECONDS = Histogram(
    f"{_NAME}_seconds",
    "From sending a probe's image to its whole answer.",
    # As of lesionserve_gateway_latency_seconds.
    buckets=(
        *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2),
        *(2.5, 3, 4, 5, 7.5, 10, 15, 20, 30, 60),
    ),
)


def _gauge(name: str, documentation: str) -> Gauge:
    # Every process of every gateway reads them from the database: all have the same values.
    return Gauge(f"{_NAME}_{name}", documentation, multiprocess_mode="mostrecent")


LAST_RUN = _gauge(
    "last_run_timestamp_seconds",
    "When the last probe began; 0 before the first one.",
)
LAST_SUCCESS = _gauge("last_success_timestamp_seconds", "When the last probe began that agreed.")
FAILURES = _gauge("failures_in_a_row", "Probes since the last one that agreed.")
SCORE_DIFFERENCE = _gauge(
    "max_score_difference", "The largest difference of a score in the last probe that agreed."
)
MASK_IOU = _gauge("min_mask_iou", "The smallest IoU of a mask in the last probe that agreed.")
BOX_PIXELS = _gauge(
    "max_box_pixels", "The largest difference of a box's side in the last probe that agreed."
)


# What was never measured is no zero, which would be a bad mask or a perfect score.
if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:  # several processes show what any of them knows
    for _unknown in (SCORE_DIFFERENCE, MASK_IOU, BOX_PIXELS):
        _unknown.set(float("nan"))


def count(run: ProbeRun) -> None:
    """Count a probe that this process sent."""
    RUNS.labels(run.result).inc()
    if run.seconds is not None:
        SECONDS.observe(run.seconds)


def show(state: ProbeState) -> None:
    """Set the gauges to the state of the probes."""
    if state.last is not None:
        LAST_RUN.set(state.last.at.timestamp())
    FAILURES.set(state.failures_in_a_row)
    success = state.success
    if success is not None:
        LAST_SUCCESS.set(success.at.timestamp())
        for gauge, value in (
            (SCORE_DIFFERENCE, success.max_score_difference),
            (MASK_IOU, success.min_mask_iou),
            (BOX_PIXELS, success.max_box_pixels),
        ):
            if value is not None:
                gauge.set(value)
