from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
# Letters as letters and no random ids: the file changes only with its numbers.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "lesionserve"})

from matplotlib import pyplot  # noqa: E402

# By contender and number of clients: {"per_second": {"median", "low", "high"}, "p50_ms", "p99_ms"}.
Measured = Mapping[str, Mapping[int, Mapping[str, Any]]]


def plot(measured: Measured, path: Path, workload: str) -> None:
    """Draw throughput and latency against the number of clients, as SVG."""
    figure, (throughput, latency) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, points in measured.items():
        clients = list(points)
        speeds = [points[count]["per_second"] for count in clients]
        median = [speed["median"] for speed in speeds]
        below = [speed["median"] - speed["low"] for speed in speeds]
        above = [speed["high"] - speed["median"] for speed in speeds]
        drawn = throughput.errorbar(clients, median, (below, above), marker="o", label=name)
        color = drawn.lines[0].get_color()
        p50 = [points[count]["p50_ms"] for count in clients]
        p99 = [points[count]["p99_ms"] for count in clients]
        latency.plot(clients, p50, marker="o", color=color)
        latency.plot(clients, p99, marker="^", color=color, linestyle=":")
    throughput.set(title=f"Throughput, {workload}", ylabel="images/s", ylim=(0, None))
    latency.set(title=f"Latency, {workload}: p50, and p99 dotted", ylabel="ms", yscale="log")
    for axes in (throughput, latency):
        axes.set(xlabel="clients", xscale="log", xticks=clients, xticklabels=map(str, clients))
        axes.minorticks_off()
    figure.legend(*throughput.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)
