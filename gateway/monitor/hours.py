from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from statistics import quantiles

from django.db.models import Count
from django.db.models.functions import TruncHour

from gateway.audit.models import Record, Source, State

HOURS = 24
# Of the latest answers: more would keep the page waiting.
_LATENCIES_AT_MOST = 20_000

_GROUPS = {
    State.SUCCEEDED: "answered",
    State.FAILED: "failed",
    State.UNKNOWN: "failed",
    State.REJECTED: "refused",
    State.SHED: "refused",
}


@dataclass(frozen=True, slots=True)
class Hours:
    """The requests of clients in each of the last hours, the oldest first.

    counts: of each hour, by `answered`, `failed` and `refused`. median_s, p95_s: seconds to an
    answer; None in an hour without answers.
    """

    begins: Sequence[datetime]
    counts: dict[str, list[int]]
    median_s: list[float | None]
    p95_s: list[float | None]


def last_hours(now: datetime) -> Hours:
    """Return the outcomes and latencies of clients' requests in the last 24 hours; blocking.

    The present hour is included.
    """
    latest = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    begins = [latest - timedelta(hours=back) for back in reversed(range(HOURS))]
    records = Record.objects.filter(received_at__gte=begins[0], source=Source.CLIENT).order_by()
    hourly = records.annotate(hour=TruncHour("received_at", tzinfo=UTC))

    counts: dict[str, Counter[datetime]] = {name: Counter() for name in _GROUPS.values()}
    for hour, state, count in hourly.values_list("hour", "state").annotate(Count("pk")):
        if state in _GROUPS:
            counts[_GROUPS[State(state)]][hour] += count

    seconds: dict[datetime, list[float]] = defaultdict(list)
    answered = hourly.filter(state=State.SUCCEEDED).exclude(latency_ms=None)
    latest_answers = answered.order_by("-received_at").values_list("hour", "latency_ms")
    for hour, latency_ms in latest_answers[:_LATENCIES_AT_MOST]:
        seconds[hour].append((latency_ms or 0.0) / 1000)
    return Hours(
        begins,
        {name: [by_hour[hour] for hour in begins] for name, by_hour in counts.items()},
        [_quantile(seconds[hour], 50) for hour in begins],
        [_quantile(seconds[hour], 95) for hour in begins],
    )


def _quantile(values: list[float], percent: int) -> float | None:
    if len(values) < 2:
        return values[0] if values else None
    return quantiles(values, n=100, method="inclusive")[percent - 1]
