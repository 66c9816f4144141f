from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from gateway.usage.models import Record, State

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
    """Counts a record that has reached its final state."""
    REQUESTS.labels(record.state, str(record.status or "")).inc()
    LATENCY.labels(record.state).observe((record.latency_ms or 0.0) / 1000)
    if record.state == State.SUCCEEDED and not record.replayed:  # found then, counted then
        for label, count in record.class_counts.items():
            if count:  # a series for what was found, not for each name that a model has
                DETECTIONS.labels(label).inc(count)


@csrf_exempt  # takes no form: another method is 405, not a forgery
@require_safe
async def exposition(request: HttpRequest) -> HttpResponse:
    """This process's metrics in Prometheus' text format."""
    return HttpResponse(generate_latest(), content_type=CONTENT_TYPE_LATEST)
