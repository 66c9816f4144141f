from prometheus_client import Counter, Histogram

from gateway import metrics
from gateway.metrics import last_known, set_unknown
from gateway.monitor.models import ProbeRun
from gateway.monitor.runs import ProbeState

_NAME = "lesionserve_gateway_probe"

RUNS = Counter(f"{_NAME}_runs", "Probes that this process sent.", ["result"])
for _result in ProbeRun.Result.values:
    RUNS.labels(_result)
SECONDS = Histogram(
    f"{_NAME}_seconds",
    "From sending a probe's image to its whole answer.",
    buckets=metrics.SECONDS,
)


LAST_RUN = last_known(
    f"{_NAME}_last_run_timestamp_seconds",
    "When the last probe began; 0 before the first one.",
)
LAST_SUCCESS = last_known(
    f"{_NAME}_last_success_timestamp_seconds", "When the last probe began that agreed."
)
FAILURES = last_known(f"{_NAME}_failures_in_a_row", "Probes since the last one that agreed.")
SCORE_DIFFERENCE = last_known(
    f"{_NAME}_max_score_difference",
    "The largest difference of a score in the last probe that agreed.",
)
MASK_IOU = last_known(
    f"{_NAME}_min_mask_iou", "The smallest IoU of a mask in the last probe that agreed."
)
BOX_PIXELS = last_known(
    f"{_NAME}_max_box_pixels",
    "The largest difference of a box's side in the last probe that agreed.",
)


for _unknown in (SCORE_DIFFERENCE, MASK_IOU, BOX_PIXELS):
    set_unknown(_unknown)


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
