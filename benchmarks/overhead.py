"""How much of the model's own rate is left behind the graph, the ingress and the proxy, and who
takes the cores meanwhile. The model is the stub: 100 images/s a replica when its batches are full.
"""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import psutil

from benchmarks.crowd import Crowd, Target, ask
from benchmarks.measure import Spread
from benchmarks.report import Figure, Result
from benchmarks.stub import BATCH, TOKEN, Cost, Service, Spec, serving
from cluster.launcher.process_roles import role_of

REPLICAS = (1, 2, 4)
VISUALIZATIONS = ("none", "jpeg")
WANTED = 0.9
ROUNDS = 3
SECONDS = 3.0
_STRANGERS = "strangers"
_FULL = 0.93  # of the cores: whoever has these has them all
HAPROXY = {"RAY_SERVE_ENABLE_HA_PROXY": "1", "RAY_SERVE_THROUGHPUT_OPTIMIZED": "1"}
VARIANTS: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "fused, Ray's proxy": ("fused", {}),
    "fused, HAProxy": ("fused", HAPROXY),
    "staged, Ray's proxy": ("staged", {}),
    "staged, HAProxy": ("staged", HAPROXY),
}


@dataclass(frozen=True, slots=True)
class Run:
    """`cores` are by process and average over the run: the clients' are among them, and what
    strangers to the benchmark took of the machine meanwhile."""

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
        for (replicas, visualization), found in runs.items():
            figures.append(_figure(name, replicas, visualization, found))
            details[f"{name}, {replicas}, {visualization}"] = [_plain(one) for one in found]
    return Result("overhead", figures, details)


def small_image() -> bytes:
    """A JPEG of 320x240 with structure, as a thumbnail of a camera's has it: some 20 kB."""
    noise = np.random.default_rng(0).integers(0, 255, (24, 32, 3), dtype=np.uint8)
    image = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
    return bytes(cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 90])[1])


def _rounds(service: Service) -> dict[tuple[int, str], list[Run]]:
    runs: dict[tuple[int, str], list[Run]] = defaultdict(list)
    image = small_image()
    for number in range(ROUNDS + 1):
        for replicas in REPLICAS:
            for visualization in VISUALIZATIONS:
                query = f"?visualization={visualization}"
                target = Target(f"{service.url}/{replicas}", TOKEN, image, query)
                # Three batches for each replica: one runs, one gathers, one is on its way.
                found = _run(service, target, 3 * BATCH * replicas)
                if number > 0:  # the first round warms up
                    runs[replicas, visualization].append(found)
    return runs


def _run(service: Service, target: Target, clients: int) -> Run:
    before, machine_before = _cpu_seconds(service.pid), _machine_seconds()
    crowd = ask(target, clients, SECONDS)
    after, machine_after = _cpu_seconds(service.pid), _machine_seconds()
    cores: dict[str, float] = defaultdict(float)
    for process, (name, seconds) in after.items():
        cores[name] += (seconds - before.get(process, (name, 0.0))[1]) / crowd.seconds
    cores["the clients"] = crowd.cpu_s / crowd.seconds
    machine = (machine_after - machine_before) / crowd.seconds
    cores[_STRANGERS] = max(machine - sum(cores.values()), 0.0)
    return Run(crowd.per_second(), _median(crowd), len(crowd.answers) - len(crowd.good()), cores)


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
        name = "HAProxy" if "/haproxy" in title else role.name if role else "others"
        seconds[process] = name, times.user + times.system
    return seconds


def _machine_seconds() -> float:
    times = psutil.cpu_times()
    return times.user + times.nice + times.system + times.irq + times.softirq + times.steal


def _median(crowd: Crowd) -> float:
    return Spread.of([answer.took_s for answer in crowd.good()]).median


def _figure(name: str, replicas: int, visualization: str, runs: Sequence[Run]) -> Figure:
    capacity = Cost().capacity() * replicas
    part = Spread.of([one.rate / capacity for one in runs])
    busy = Spread.of([sum(one.cores.values()) for one in runs])
    strangers = Spread.of([one.cores[_STRANGERS] for one in runs])
    full = busy.median >= _FULL * psutil.cpu_count()
    failed = sum(one.failed for one in runs)
    own = [sum(one.cores.values()) - one.cores[_STRANGERS] for one in runs]
    spent = Spread.of([1000 * cores / one.rate for cores, one in zip(own, runs, strict=True)])
    print(
        f"overhead: {name}, {replicas} replicas, {visualization}: {part} of capacity, "
        f"{busy.median:.2f} cores, {spent.median:.1f} ms an image: {_largest(runs)}",
        file=sys.stderr,
    )
    enough = part.median >= WANTED or (replicas > 1 and full)
    return Figure(
        f"4 {name}, {replicas} replicas, visualization {visualization}",
        f"at least {WANTED} of {capacity:.0f} images/s" + (", or the cores full" * (replicas > 1)),
        f"{part}; {spent.median:.1f} ms of a core an image; {busy.median:.2f} cores busy"
        f"{', full' if full else ''}, {strangers.median:.2f} of them by strangers; {failed} failed",
        enough and failed == 0,
    )


def _largest(runs: Sequence[Run]) -> str:
    names = {name for one in runs for name in one.cores}
    shares = {name: Spread.of([one.cores.get(name, 0.0) for one in runs]).median for name in names}
    largest = sorted(shares.items(), key=lambda item: -item[1])[:6]
    return ", ".join(f"{name} {share:.2f}" for name, share in largest)


def _plain(one: Run) -> dict[str, Any]:
    cores = {name: round(share, 3) for name, share in one.cores.items() if share >= 0.005}
    return {"rate": round(one.rate, 1), "p50_s": round(one.p50_s, 4), "cores": cores}


if __name__ == "__main__":
    for figure in run(
        [name for name in VARIANTS if name in sys.argv[1:]] or tuple(VARIANTS)
    ).figures:
        print(figure)
