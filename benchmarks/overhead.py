"""Measure the rate of the whole service as a share of the rate of its model alone.

Also which processes take the cores meanwhile. The model is the stub: 100 images/s a replica when
its batches are full.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.load import apply, image_request
from benchmarks.measure import Spread
from benchmarks.report import Figure, Result
from benchmarks.stub import AUTHORIZATION, BATCH, Cost, Service, Spec, serving
from cluster.launcher.process_roles import role_of

REPLICAS = (1, 2, 4)
VISUALIZATIONS = ("none", "jpeg")
WANTED = 0.9
ROUNDS = 3
SECONDS = 3.0
_OTHERS = "other programs"
_FULL = 0.93  # of the cores; more than these are never free
HAPROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
VARIANTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "fused, Ray's proxy": ("fused", {}),
    "fused, HAProxy": ("fused", HAPROXY),
    "staged, Ray's proxy": ("staged", {}),
    "staged, HAProxy": ("staged", HAPROXY),
}


@dataclass(frozen=True, slots=True)
class Run:
    """The result of one load.

    cores: by process, on average over the run, with those of the clients and of the machine's
    other programs.
    """

    rate: float
    p50_s: float
    failed: int
    cores: dict[str, float]


def run(variants: Sequence[str] = tuple(VARIANTS)) -> Result:
    figures, details = [], {}
    for name in variants:
        layout, environment = VARIANTS[name]
        spec = Spec(layout=layout, replicas=REPLICAS)
        with serving(spec, **environment) as service:
            runs = _rounds(service)
        for (replicas, visualization), repeated in runs.items():
            figures.append(_figure(name, replicas, visualization, repeated))
            details[f"{name}, {replicas}, {visualization}"] = [_plain(run) for run in repeated]
    return Result("overhead", figures, details)


def small_image() -> bytes:
    """Return a JPEG of 320x240 with as much structure as a camera's thumbnail: some 20 kB."""
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    image = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def _rounds(service: Service) -> dict[tuple[int, str], list[Run]]:
    runs: dict[tuple[int, str], list[Run]] = defaultdict(list)
    image = small_image()
    for number in range(ROUNDS + 1):
        for replicas in REPLICAS:
            for visualization in VISUALIZATIONS:
                url = f"{service.url}/{replicas}/predict?visualization={visualization}"
                request = image_request(url, AUTHORIZATION, image)
                # Three batches for each replica: one runs, one gathers, one is on its way.
                measured = _run(service, request, 3 * BATCH * replicas)
                if number > 0:  # the first round warms up
                    runs[replicas, visualization].append(measured)
    return runs


def _run(service: Service, request: bytes, clients: int) -> Run:
    before, machine_before = _cpu_seconds(service.pid), _machine_seconds()
    outcome = apply(service.url, repeat(request), clients, SECONDS)
    after, machine_after = _cpu_seconds(service.pid), _machine_seconds()
    cores: dict[str, float] = defaultdict(float)
    for process, (name, seconds) in after.items():
        cores[name] += (seconds - before.get(process, (name, 0.0))[1]) / outcome.seconds
    cores["the clients"] = outcome.cpu_s / outcome.seconds
    machine = (machine_after - machine_before) / outcome.seconds
    cores[_OTHERS] = max(machine - sum(cores.values()), 0.0)
    p50_s = Spread.of([answer.took_s for answer in outcome.good]).median
    failed = len(outcome.answers) - len(outcome.good)
    return Run(outcome.per_second, p50_s, failed, cores)


def _cpu_seconds(driver: int) -> dict[psutil.Process, tuple[str, float]]:
    root = psutil.Process(driver)
    seconds = {}
    for process in [root, *root.children(recursive=True)]:
        try:
            title = " ".join(process.cmdline())
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        role = role_of(title)
        name = "HAProxy" if "/haproxy" in title else role.name if role else "the rest of Ray"
        seconds[process] = name, times.user + times.system
    return seconds


def _machine_seconds() -> float:
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq + times.steal


def _figure(name: str, replicas: int, visualization: str, runs: Sequence[Run]) -> Figure:
    capacity = Cost().capacity() * replicas
    part = Spread.of([run.rate / capacity for run in runs])
    busy = Spread.of([sum(run.cores.values()) for run in runs])
    others = Spread.of([run.cores[_OTHERS] for run in runs])
    full = busy.median >= _FULL * psutil.cpu_count()
    failed = sum(run.failed for run in runs)
    own = [sum(run.cores.values()) - run.cores[_OTHERS] for run in runs]
    spent = Spread.of([1000 * cores / run.rate for cores, run in zip(own, runs, strict=True)])
    print(
        f"overhead: {name}, {replicas} replicas, {visualization}: {part} of capacity, "
        f"{busy.median:.2f} cores, {spent.median:.1f} ms an image: {_largest(runs)}",
        file=sys.stderr,
    )
    return Figure(
        f"{name}, {replicas} replicas, visualization {visualization}",
        f"at least {WANTED} of {capacity:.0f} images/s",
        f"{part}; {spent.median:.1f} ms of a core an image; {busy.median:.2f} cores busy"
        f"{', full' if full else ''}, {others.median:.2f} of them by other programs; "
        f"{failed} failed",
        verdict(part.median, replicas, full=full, failed=failed),
    )


def verdict(part: float, replicas: int, *, full: bool, failed: int) -> bool | None:
    """Return whether the wanted part of the capacity was served without a failed request.

    Return None where several replicas had all cores of this machine and served less: how far they
    scale is then not measured here.
    """
    if failed:
        return False
    if part < WANTED and replicas > 1 and full:
        return None
    return part >= WANTED


def _largest(runs: Sequence[Run]) -> str:
    names = {name for run in runs for name in run.cores}
    shares = {name: Spread.of([run.cores.get(name, 0.0) for run in runs]).median for name in names}
    largest = sorted(shares.items(), key=lambda item: -item[1])[:6]
    return ", ".join(f"{name} {share:.2f}" for name, share in largest)


def _plain(run: Run) -> dict[str, Any]:
    cores = {name: round(share, 3) for name, share in run.cores.items() if share >= 0.005}
    return {"rate": round(run.rate, 1), "p50_s": round(run.p50_s, 4), "cores": cores}


if __name__ == "__main__":
    for figure in run(
        [name for name in VARIANTS if name in sys.argv[1:]] or tuple(VARIANTS)
    ).figures:
        print(figure)
