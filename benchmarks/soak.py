"""Measure the memory of every process of `lesionserve up` over 5,000 requests through the gateway.

With the demo bundle, whole answers and small images. A line through the second half of the samples
shows whether a process grows.
"""

import asyncio
import itertools
import json
import math
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import repeat, takewhile

import psutil

from benchmarks.launch import launched
from benchmarks.load import Answer, form_request, send
from benchmarks.overhead import small_image
from benchmarks.report import Figure, Result
from cluster.launcher.process_roles import role_of

REQUESTS = 5000
CLIENTS = 4
# What a process may gain over 5,000 requests: less than an image decoded, and far from mattering.
NEGLIGIBLE_MB = 5.0
_MB = 1024 * 1024
_LOOK_S = 1.0
_START_WITHIN_S = 120.0
_GIVE_UP_S = 560.0
_FIRST_USE = 500  # caches, pools and arenas fill


@dataclass(frozen=True, slots=True)
class Growth:
    """The MB that a process gains in 5,000 requests, with the 95 % interval of that."""

    mb: float
    low: float
    high: float
    peak_mb: float

    @property
    def is_flat(self) -> bool:
        return self.low <= NEGLIGIBLE_MB

    def __str__(self) -> str:
        return (
            f"{self.mb:+.1f} MB ({self.low:+.1f} to {self.high:+.1f}), peak {self.peak_mb:.0f} MB"
        )


Samples = dict[str, list[tuple[int, float]]]  # by process: requests answered so far, and MB


def run() -> Result:
    with launched() as service:
        ready = service.await_ready(_START_WITHIN_S)
        url = f"{ready.url}/predict/"
        request = form_request(url, {"X-API-Key": ready.key}, small_image())
        answers, samples = asyncio.run(_soak(service.process.pid, url, request))
    failed = sum(answer.status != 200 for answer in answers)
    growths = {name: growth(points) for name, points in samples.items() if len(points) >= 20}
    for name, gain in sorted(growths.items()):
        print(f"soak: {name}: {gain}", file=sys.stderr)
    growing = [f"{name} {gain}" for name, gain in growths.items() if not gain.is_flat]
    largest = max((gain.peak_mb, name) for name, gain in growths.items() if "replica" in name)
    figures = [
        Figure(
            f"memory over {REQUESTS} requests through the gateway",
            f"no process of {len(growths)} surely gains {NEGLIGIBLE_MB:.0f} MB",
            "; ".join(growing) or "none",
            not growing and failed == 0,
        ),
        Figure("failed requests", "0", f"{failed} of {len(answers)}", failed == 0),
        Figure(
            "peak of the largest replica", "reported", f"{largest[0]:.0f} MB, {largest[1]}", True
        ),
    ]
    plain = {
        name: [[count, round(mb, 2)] for count, mb in points] for name, points in samples.items()
    }
    return Result("soak", figures, {"mb_by_requests": plain})


def growth(points: Sequence[tuple[int, float]]) -> Growth:
    """Fit a line through the second half of (requests, MB).

    Memory stays where it is for a while, so that neighbours are no independent samples: the
    interval counts only as many as are.
    """
    half = [point for point in points if point[0] >= REQUESTS / 2]
    xs, ys = [x for x, _ in half], [y for _, y in half]
    line = statistics.linear_regression(xs, ys)
    rest = [y - line.slope * x - line.intercept for x, y in half]
    spread_x = sum((x - statistics.fmean(xs)) ** 2 for x in xs)
    variance = sum(e * e for e in rest) / (len(half) - 2)
    # The first-order autocorrelation of the residuals thins the samples out.
    alike = sum(a * b for a, b in itertools.pairwise(rest))
    total = sum(e * e for e in rest)
    r = min(max(alike / total if total else 0.0, 0.0), 0.95)
    error = math.sqrt(variance / spread_x * (1 + r) / (1 - r)) * REQUESTS
    mb = line.slope * REQUESTS
    return Growth(mb, mb - 1.96 * error, mb + 1.96 * error, max(y for _, y in points))


async def _soak(launcher: int, url: str, request: bytes) -> tuple[list[Answer], Samples]:
    """Send the request `REQUESTS` times, and look at the memory meanwhile."""
    answers: list[Answer] = []
    samples: Samples = {}
    end = time.monotonic() + _GIVE_UP_S
    requests = takewhile(lambda _: time.monotonic() < end, repeat(request, REQUESTS))
    clients = asyncio.gather(*(send(url, requests, answers.append) for _ in range(CLIENTS)))
    while not clients.done():
        count = len(answers)
        if count >= _FIRST_USE:
            for name, mb in await asyncio.to_thread(_memory, launcher):
                samples.setdefault(name, []).append((count, mb))
        await asyncio.wait([clients], timeout=_LOOK_S)
    await clients
    if len(answers) < REQUESTS:
        raise RuntimeError(f"only {len(answers)} requests within {_GIVE_UP_S:.0f} s")
    return answers, samples


def _memory(launcher: int) -> list[tuple[str, float]]:
    """Return the PSS of each process, by its role and pid: shared memory is counted once in all."""
    root = psutil.Process(launcher)
    sizes = []
    for process in [root, *root.children(recursive=True)]:
        try:
            title = " ".join(process.cmdline())
            mb = process.memory_full_info().pss / _MB
        except psutil.NoSuchProcess:
            continue
        role = role_of(title)
        name = "the launcher" if process == root else role.name if role else title[:40]
        sizes.append((f"{name} ({process.pid})", mb))
    return sizes


if __name__ == "__main__":
    print(json.dumps([str(figure) for figure in run().figures], indent=1))
