from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import date
from typing import TypeVar

from django.db.models import Sum
from pydantic import BaseModel, Field

from gateway.access.models import ApiKey
from gateway.audit.models import SCORE_BINS
from gateway.people.models import Organisation
from gateway.usage.models import Tally
from gateway.usage.tally import fold, latency_ms

PERCENTILES = (50, 90, 95, 99)

Counts = dict[str, int]

Group = TypeVar("Group", str, date)


class Day(BaseModel):
    day: date
    requests: int
    outcomes: Counts


class Summary(BaseModel):
    """The usage of one organisation in a range of UTC days, both included."""

    organisation: str
    first: date
    last: date
    requests: int
    days: list[Day] = Field(description="days with at least one request")
    callers: Counts = Field(description="requests by key:<id> or user:<name>")
    caller_names: dict[str, str] = Field(
        description="the name that each of these keys has now, by key:<id>"
    )
    outcomes: Counts
    image_types: Counts
    image_sizes: Counts
    model_versions: Counts
    classes: Counts = Field(description="lesions found, by class")
    scores: list[int] = Field(description=f"lesions found, in {SCORE_BINS} bins from 0 to 1")
    latency_ms: dict[str, float] = Field(
        description="percentiles of what succeeded; at most 9 % too high, by the width of a bin"
    )


def summarise(organisation: Organisation, first: date, last: date) -> Summary:
    """Bring the counts up to date and return their summary; blocking."""
    fold()
    tallies = Tally.objects.filter(organisation=organisation, day__range=(first, last))
    totals: defaultdict[str, Counts] = _totals(
        tallies.values_list("dimension", "value").annotate(Sum("count"))
    )
    days: defaultdict[date, Counts] = _totals(
        tallies.filter(dimension="outcome").values_list("day", "value").annotate(Sum("count"))
    )
    by_caller = tallies.filter(dimension="outcome").values_list("caller").annotate(Sum("count"))
    callers = dict(sorted(by_caller))
    names = key_names(organisation)
    return Summary(
        organisation=organisation.name,
        first=first,
        last=last,
        requests=sum(totals["outcome"].values()),
        days=[
            Day(day=day, requests=sum(outcomes.values()), outcomes=outcomes)
            for day, outcomes in sorted(days.items())
        ],
        callers=callers,
        caller_names={caller: names[caller] for caller in callers if caller in names},
        outcomes=totals["outcome"],
        image_types=totals["image_type"],
        image_sizes=totals["image_size"],
        model_versions=totals["model_version"],
        classes=totals["class"],
        scores=[totals["score"].get(str(number), 0) for number in range(SCORE_BINS)],
        latency_ms=percentiles({int(bin_): n for bin_, n in totals["latency"].items()}),
    )


def rows(
    organisation: Organisation, first: date, last: date
) -> list[tuple[date, str, str, str, int, str]]:
    """Return the counts as rows; blocking.

    Each has a day, caller, dimension, value, count, and the name of the caller's key (empty for a
    person).
    """
    fold()
    tallies = Tally.objects.filter(organisation=organisation, day__range=(first, last))
    ordered = tallies.order_by("day", "caller", "dimension", "value")
    counts = ordered.values_list("day", "caller", "dimension", "value", "count")
    names = key_names(organisation)
    return [(*row, names.get(row[1], "")) for row in counts]


def key_names(organisation: Organisation) -> dict[str, str]:
    """Return the names of the organisation's keys by `key:<id>`; blocking."""
    keys = ApiKey.objects.filter(organisation=organisation).values_list("id", "name")
    return {f"key:{id_}": name for id_, name in keys}


def percentiles(bins: Mapping[int, int]) -> dict[str, float]:
    """Return the percentiles of counts by `tally.latency_bin`; empty without counts."""
    latencies: dict[str, float] = {}
    total, below = sum(bins.values()), 0
    for number, count in sorted(bins.items()):
        below += count
        for percent in PERCENTILES:
            if f"p{percent}" not in latencies and below * 100 >= percent * total:
                latencies[f"p{percent}"] = round(latency_ms(number), 1)
    return latencies


def _totals(counts: Iterable[tuple[Group, str, int]]) -> defaultdict[Group, Counts]:
    totals: defaultdict[Group, Counts] = defaultdict(dict)
    for group, value, count in counts:
        totals[group][value] = count
    return totals
