"""What the gateway's metrics have in common; each package has its own in a module `metrics`."""

import os
from collections.abc import Iterable, Iterator
from typing import TypeVar

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Metric,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from gateway.metrics_folder import VARIABLE, MetricsFolder

M = TypeVar("M", Counter, Gauge, Histogram)

# Several worker processes have no such series, so one process has none, either.
disable_created_metrics()  # type: ignore[no-untyped-call]

SECONDS = (
    *(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5, 7.5, 10, 15, 20, 30),
    60,
)

DATABASE_SECONDS = Histogram(
    "lesionserve_gateway_database_seconds",
    "Each visit of a request to the database, with its wait for a connection.",
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)
DATABASE_ERRORS = Counter(
    "lesionserve_gateway_database_errors", "Visits to the database that failed or took too long."
)


def by_label(metric: M, values: Iterable[str]) -> dict[str, M]:
    """Return the metric's series for each value of its one label; they exist from now on."""
    return {value: metric.labels(value) for value in values}


def last_known(name: str, documentation: str, labels: Iterable[str] = ()) -> Gauge:
    """Return a gauge of something that every worker process finds the same.

    Of several processes the latest value counts. Until the first one there is none.
    """
    return Gauge(name, documentation, labels, multiprocess_mode="mostrecent")


def set_unknown(gauge: Gauge) -> None:
    """Give the gauge the value NaN until its first measurement.

    Zero would raise alerts. Of several processes, another one may know the value already.
    """
    if VARIABLE not in os.environ:
        gauge.set(float("nan"))


class _Workers(Collector):
    """The sums over all worker processes."""

    def __init__(self, folder: MetricsFolder) -> None:
        self._folder = folder

    def collect(self) -> Iterator[Metric]:
        yield from MultiProcessCollector.merge(self._folder.files())  # type: ignore[no-untyped-call]


def exposition(folder: MetricsFolder | None) -> bytes:
    """Return all metrics in Prometheus' text format: of this process, or of all in the folder."""
    if folder is None:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    registry.register(_Workers(folder))
    return generate_latest(registry)
