from prometheus_client import Counter, Gauge, Histogram

from gateway.audit.models import Record, State

REQUESTS = Counter("lesionserve_gateway_requests", "Requests to /predict/.", ["outcome", "status"])
LATENCY = Histogram(
    "lesionserve_gateway_latency_seconds",
    "From the request's headers to its answer.",
    ["outcome"],
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
IN_FLIGHT = Gauge("lesionserve_gateway_in_flight", "Requests to /predict/ now.")
DETECTIONS = Counter("lesionserve_gateway_detections", "Lesions in the answers.", ["label"])


def observe(record: Record) -> None:
    """Count a record that has reached its final state."""
    REQUESTS.labels(record.state, str(record.status or "")).inc()
    LATENCY.labels(record.state).observe((record.latency_ms or 0.0) / 1000)
    # A replay's detections were counted with the first request.
    if record.state == State.SUCCEEDED and not record.replayed:
        for label, count in record.class_counts.items():
            if count:  # one series for each class found, none for the other classes of a model
                DETECTIONS.labels(label).inc(count)
