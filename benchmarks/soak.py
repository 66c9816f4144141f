"""Memory of every process of `lesionserve up` over 5,000 requests through the gateway: the demo
bundle, whole answers, small images. A line through the second half says whether anything grows.
"""

import itertools
import json
import math
import statistics
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import psutil

from benchmarks.launch import launched
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
    """MB that a process gains in 5,000 requests, with the 95 % interval of that."""

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


@dataclass(slots=True)
class Done:
    """Requests answered, and what else came."""

    good: int = 0
    bad: int = 0


def run() -> Result:
    with launched() as service:
        ready = service.await_ready(_START_WITHIN_S)
        done, samples = _soak(service.process.pid, ready.key, ready.url)
    growths = {name: growth(points) for name, points in samples.items() if len(points) >= 20}
    for name, gain in sorted(growths.items()):
        print(f"soak: {name}: {gain}", file=sys.stderr)
    growing = [f"{name} {gain}" for name, gain in growths.items() if not gain.is_flat]
    largest = max((gain.peak_mb, name) for name, gain in growths.items() if "replica" in name)
    figures = [
        Figure(
            f"7 memory over {REQUESTS} requests through the gateway",
            f"no process of {len(growths)} surely gains {NEGLIGIBLE_MB:.0f} MB",
            "; ".join(growing) or "none",
            not growing and done.bad == 0,
        ),
        Figure("7 failed requests", "0", f"{done.bad} of {done.good + done.bad}", done.bad == 0),
        Figure(
            "7 peak of the largest replica", "reported", f"{largest[0]:.0f} MB, {largest[1]}", True
        ),
    ]
    plain = {
        name: [[count, round(mb, 2)] for count, mb in points] for name, points in samples.items()
    }
    return Result("soak", figures, {"mb_by_requests": plain})


def growth(points: Sequence[tuple[int, float]]) -> Growth:
    """Of a line through the second half of (requests, MB). Memory stays where it is for a while,
    so that neighbours are no independent samples: the interval counts only as many as are."""
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


def _soak(launcher: int, key: str, url: str) -> tuple[Done, dict[str, list[tuple[int, float]]]]:
    done, lock, image = Done(), threading.Lock(), small_image()
    samples: dict[str, list[tuple[int, float]]] = {}
    stop = time.monotonic() + _GIVE_UP_S

    def ask() -> None:
        with httpx.Client(headers={"X-API-Key": key}, timeout=60) as client:
            while done.good + done.bad < REQUESTS and time.monotonic() < stop:
                answer = client.post(f"{url}/predict/", files={"file": ("a.jpg", image)})
                with lock:
                    done.good += answer.status_code == 200
                    done.bad += answer.status_code != 200

    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(ask) for _ in range(CLIENTS)]
        while not all(client.done() for client in clients):
            if done.good >= _FIRST_USE:
                for name, mb in _memory(launcher):
                    samples.setdefault(name, []).append((done.good, mb))
            time.sleep(_LOOK_S)
        for client in clients:
            client.result()
    if done.good + done.bad < REQUESTS:
        raise RuntimeError(f"only {done.good} requests within {_GIVE_UP_S:.0f} s")
    return done, samples


def _memory(launcher: int) -> list[tuple[str, float]]:
    """The PSS of each process, by its role and pid: what it shares is counted once in all."""
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
