from cluster.monitoring.grafana.board import Board, Section
from cluster.monitoring.grafana.panel import Kind, Panel
from cluster.monitoring.grafana.promql import mean, per_minute, quantiles, total

_CLIENT = 'source="client"'
_VALID = f'{_CLIENT},outcome=~"succeeded|failed|unknown"'
_BAD = f'{_CLIENT},outcome=~"failed|unknown"'
_SUCCEEDED = f'{_CLIENT},outcome="succeeded"'
_REQUESTS = "lesionserve_gateway_requests_total"
_LATENCY = "lesionserve_gateway_latency_seconds"
_PROBE = "lesionserve_gateway_probe"

_OBJECTIVE_ERRORS = 0.005
_OBJECTIVE_SLOW = 0.05
_TARGET_S = "5.0"


def _errors(window: str) -> str:
    bad, valid = total(_REQUESTS, _BAD, window), total(_REQUESTS, _VALID, window)
    return f"{bad} / ({valid} > 0)"


def _slow(window: str) -> str:
    within = total(f"{_LATENCY}_bucket", f'{_SUCCEEDED},le="{_TARGET_S}"', window)
    answered = total(f"{_LATENCY}_count", _SUCCEEDED, window)
    return f"1 - {within} / ({answered} > 0)"


_TRAFFIC = Section(
    "Traffic",
    (
        Panel(
            "Requests by outcome",
            {"{{outcome}}": per_minute(_REQUESTS, "outcome", _CLIENT)},
            "cpm",
            "Requests of clients to /predict/ in a minute. rejected: the request was at fault; "
            "shed: no room for it; failed: the service was at fault; aborted: the client left.",
            Kind.BARS,
        ),
        Panel(
            "Failed share",
            {"failed": _errors("$__rate_interval")},
            "percentunit",
            "Failed requests, as a share of those that could have succeeded. A gap means that "
            "there was no such request.",
        ),
        Panel(
            "Refusals by error code",
            {"{{code}}": per_minute("lesionserve_gateway_errors_total", "code")},
            "cpm",
            "Error answers to clients in a minute, by the code in the answer.",
            Kind.BARS,
        ),
    ),
)

_OBJECTIVES = Section(
    "Objectives",
    (
        Panel(
            "Error budget left, 30 days",
            {"left": f"1 - ({_errors('30d')}) / {_OBJECTIVE_ERRORS}"},
            "percentunit",
            "99.5 % of the requests that could succeed should. 100 %: none failed; 0 %: all that "
            "may fail did.",
            Kind.STAT,
            floor=0.0,
            width=6,
        ),
        Panel(
            "Latency budget left, 30 days",
            {"left": f"1 - ({_slow('30d')}) / {_OBJECTIVE_SLOW}"},
            "percentunit",
            "95 % of the answers should take at most 5 s.",
            Kind.STAT,
            floor=0.0,
            width=6,
        ),
        Panel(
            "Error budget burn, 1 hour",
            {"burn": f"({_errors('1h')}) / {_OBJECTIVE_ERRORS}"},
            "none",
            "At 1 the budget of 30 days lasts exactly 30 days. The alert pages from 14.4 on.",
            Kind.STAT,
            limit=14.4,
            width=6,
        ),
        Panel(
            "Error budget burn, 6 hours",
            {"burn": f"({_errors('6h')}) / {_OBJECTIVE_ERRORS}"},
            "none",
            "The alert opens a ticket from 6 on.",
            Kind.STAT,
            limit=6.0,
            width=6,
        ),
    ),
)

_LATENCIES = Section(
    "Latency",
    (
        Panel(
            "Latency of answers",
            quantiles(f"{_LATENCY}_bucket", _SUCCEEDED),
            "s",
            "From a request's headers to its answer, for answered images of clients.",
        ),
        Panel(
            "Where the time goes",
            {
                "{{stage}}": mean("lesionserve_gateway_stage_seconds", "stage"),
                "queues and network": mean("lesionserve_gateway_queue_wait_seconds"),
            },
            "s",
            "The mean time of an answered image in each stage, and outside of them.",
        ),
        Panel(
            "Attempts at the ingress",
            {"{{result}}": per_minute("lesionserve_gateway_upstream_seconds_count", "result")},
            "cpm",
            "answered: a prediction came back; refused: an error did; lost: nothing did.",
            Kind.BARS,
        ),
    ),
)

_SATURATION = Section(
    "Saturation",
    (
        Panel(
            "Images in the gateway",
            {
                "now": "sum(lesionserve_gateway_in_flight)",
                "limit": "sum(lesionserve_gateway_max_in_flight)",
            },
            "none",
            "Requests to /predict/ in flight, and LESIONSERVE_MAX_IN_FLIGHT over all workers.",
        ),
        Panel(
            "Shed requests",
            {"shed": per_minute(_REQUESTS, "", f'{_CLIENT},outcome="shed"')},
            "cpm",
            "Requests that were refused for lack of room or over a limit.",
            Kind.BARS,
        ),
        Panel(
            "Second tries",
            {
                "sent again": per_minute("lesionserve_gateway_retries_total"),
                "over the budget": per_minute("lesionserve_gateway_retries_over_budget_total"),
            },
            "cpm",
            "Images sent to the ingress again after it broke off, and those that the retry budget "
            "did not let be sent again.",
            Kind.BARS,
        ),
    ),
)

_PROBES = Section(
    "Probes",
    (
        Panel(
            "Probes by result",
            {"{{result}}": per_minute(f"{_PROBE}_runs_total", "result")},
            "cpm",
            "Golden images sent through the whole path. disagreed: answered with other lesions.",
            Kind.BARS,
        ),
        Panel(
            "Latency of probes",
            quantiles(f"{_PROBE}_seconds_bucket"),
            "s",
            "From sending a golden image to its answer, as a client sees it.",
        ),
        Panel(
            "Since the last good probe",
            {"seconds": f"time() - max({_PROBE}_last_success_timestamp_seconds)"},
            "s",
            "Time since a golden image came back with the right lesions.",
            Kind.STAT,
            limit=600.0,
            width=4,
        ),
        Panel(
            "Circuit open",
            {"open": "max(lesionserve_gateway_circuit_open)"},
            "none",
            "1 while the gateway sends no image to the ingress, because it does not respond.",
            Kind.STAT,
            limit=1.0,
            width=4,
        ),
    ),
)

SERVICE = Board(
    uid="lesionserve-service",
    title="lesionserve: service",
    description="Traffic, errors, latency, objectives and saturation, as clients see them.",
    sections=(_OBJECTIVES, _TRAFFIC, _LATENCIES, _SATURATION, _PROBES),
)
