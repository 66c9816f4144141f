from prometheus_client import Counter

from gateway.metrics import by_label

LIMITER_FAILURES = Counter(
    "lesionserve_gateway_limiter_failures",
    "Times the shared rate limits could not be reached, so that this process counted alone.",
)
REFUSED_CREDENTIALS = Counter(
    "lesionserve_gateway_refused_credentials",
    "Invalid or missing API keys, sessions that ended, and wrong passwords.",
)
# The names of gateway.access.limits, and the quotas of a day.
RATE_LIMITED = by_label(
    Counter("lesionserve_gateway_rate_limited", "Requests over a limit.", ["limit"]),
    ("address", "caller", "organisation", "failures", "quota"),
)
