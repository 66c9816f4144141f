"""Measure what a rollout costs the clients and the gateway, on a running stack of both models.

Blocks of the same load take turns: without a rollout, with a shadow, with a canary, and with
canaries whose candidate hangs, as a stopped process does, or is killed, as one that takes too much
memory. Where the candidate is rolled back, the rest of its block is without one, as it would be in
a clinic.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any

import psutil

from benchmarks.cost import processor_seconds
from benchmarks.launch import Launched, launched
from benchmarks.load import Outcome, apply, form_request
from benchmarks.measure import Spread, percentile, ratio
from benchmarks.report import NO_TARGET, Figure, Result
from cluster.launcher.process_roles import GATEWAY
from cluster.paths import DEMO_IMAGE
from tests.bundle_variants import renamed

CLIENTS = 1  # one core for the service, the other one for the candidate
IMAGES = 400  # of each block
ROUNDS = 3
START_WITHIN_S = 180.0
_ROUTE_S = 3.0  # until every process has read that a rollout runs, or has ended
_P99, _OVERHEAD_MS = 1.03, 5.0

Block = Callable[["Stack"], "Measured"]


@dataclass(frozen=True, slots=True)
class Measured:
    """Hold what a block gave: answers, the gateway's ms of a core for an image, the rollout."""

    outcome: Outcome
    gateway_ms: float
    status: Mapping[str, Any]

    @property
    def p99_ms(self) -> float:
        return percentile(self.outcome.latencies_ms, 99)


class Stack:
    """Load a running stack with a candidate, and run rollouts on it."""

    def __init__(self, stack: Launched, candidate: Path) -> None:
        self._pid = stack.process.pid
        self._data = stack.folder / "data"
        self._candidate = candidate
        self._ready = stack.await_ready(START_WITHIN_S)
        self._numbers = count()

    def load(self) -> tuple[Outcome, float]:
        """Send a block, and return the answers and the gateway's milliseconds of a core an image.

        Raise RuntimeError where an image is not answered.
        """
        before = self._gateway_s()
        outcome = apply(self._ready.url, islice(self._requests(), IMAGES), CLIENTS)
        time.sleep(_ROUTE_S)  # what is still compared counts, too
        if len(outcome.good) != IMAGES:
            raise RuntimeError(f"not every image was answered: {outcome.statuses}")
        return outcome, 1000 * (self._gateway_s() - before) / IMAGES

    @contextmanager
    def rollout(self, mode: str, *options: str) -> Iterator[None]:
        """Run a rollout of which both models are known to answer, and end it after the block."""
        self._command("start", str(self._candidate), "--mode", mode, *options)
        deadline = time.monotonic() + START_WITHIN_S
        while self.status()["seen_at"] is None:
            if time.monotonic() > deadline:
                raise RuntimeError("the candidate does not answer")
            time.sleep(1)
        time.sleep(_ROUTE_S)
        try:
            yield
        finally:
            if self.status()["state"] == "running":
                self._command("abort", "--reason", "the block is over")
            time.sleep(_ROUTE_S)

    def status(self) -> Mapping[str, Any]:
        status: Mapping[str, Any] = json.loads(self._command("status", "--json"))
        return status

    def candidate(self) -> psutil.Process:
        """Return the process of the candidate's replica."""
        for process in psutil.Process(self._pid).children(recursive=True):
            if "ServeReplica:candidate:" in " ".join(process.cmdline()):
                return process
        raise RuntimeError("the candidate has no replica")

    def _command(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "cluster.cli", "rollout", *arguments]
        return subprocess.run(
            [*command, "--data", str(self._data)], check=True, capture_output=True, text=True
        ).stdout

    def _requests(self) -> Iterator[bytes]:
        image = DEMO_IMAGE.read_bytes()
        url = f"{self._ready.url}/predict/"
        for number in self._numbers:
            headers = {"X-API-Key": self._ready.key, "X-Examination-Id": f"e{number}"}
            yield form_request(url, headers, image)

    def _gateway_s(self) -> float:
        times = processor_seconds(self._pid)
        return sum(seconds for (_, name), seconds in times.items() if name == GATEWAY.name)


def without(stack: Stack) -> Measured:
    return Measured(*stack.load(), {})


def shadow(stack: Stack) -> Measured:
    with stack.rollout("shadow", "--max-slow", "0.9"):
        return Measured(*stack.load(), stack.status())


def canary(stack: Stack) -> Measured:
    with stack.rollout("canary", "--percent", "20", "--max-slow", "0.9"):
        return Measured(*stack.load(), stack.status())


def hanging(stack: Stack) -> Measured:
    with stack.rollout("canary", "--percent", "20"):
        replica = stack.candidate()
        replica.suspend()
        try:
            return Measured(*stack.load(), stack.status())
        finally:
            replica.resume()


def killed(stack: Stack) -> Measured:
    with stack.rollout("canary", "--percent", "20", "--max-slow", "0.9"):
        stack.candidate().kill()
        return Measured(*stack.load(), stack.status())


BLOCKS: dict[str, Block] = {
    "no rollout": without,
    "shadow": shadow,
    "canary": canary,
    "canary that hangs": hanging,
    "canary that is killed": killed,
}


def run() -> Result:
    with tempfile.TemporaryDirectory() as folder:
        candidate = renamed(Path(folder) / "candidate")
        with launched("--candidate", str(candidate)) as launch:
            stack = Stack(launch, candidate)
            stack.load()  # warm
            rounds = [{name: block(stack) for name, block in BLOCKS.items()} for _ in range(ROUNDS)]
    return Result("rollouts", figures(rounds), {"rounds": [_details(blocks) for blocks in rounds]})


def figures(rounds: list[dict[str, Measured]]) -> list[Figure]:
    names = [name for name in BLOCKS if name != "no rollout"]
    return [
        *(_p99_figure(name, rounds) for name in names),
        _overhead_figure(rounds),
    ]


def _p99_figure(name: str, rounds: list[dict[str, Measured]]) -> Figure:
    """Return the 99th percentile as a multiple of that without a rollout in the same round."""
    spread = ratio(
        [blocks[name].p99_ms for blocks in rounds],
        [blocks["no rollout"].p99_ms for blocks in rounds],
    )
    # Comparisons take processor time on a machine that both models share.
    is_bad = name not in ("shadow", "canary")
    wanted, met = (f"<= {_P99:g}", spread.median <= _P99) if is_bad else (NO_TARGET, None)
    return Figure(f"{name}: p99 as a multiple of that without a rollout", wanted, str(spread), met)


def _overhead_figure(rounds: list[dict[str, Measured]]) -> Figure:
    """Return what comparing an image costs the gateway, where every image is compared."""
    spread = Spread.of(
        [blocks["shadow"].gateway_ms - blocks["no rollout"].gateway_ms for blocks in rounds]
    )
    name = "shadow of all images: the gateway's ms of a core for an image more"
    return Figure(name, f"<= {_OVERHEAD_MS:g}", str(spread), spread.median <= _OVERHEAD_MS)


def _details(blocks: Mapping[str, Measured]) -> dict[str, Any]:
    return {
        name: {
            "p50_ms": percentile(block.outcome.latencies_ms, 50),
            "p99_ms": block.p99_ms,
            "max_ms": max(block.outcome.latencies_ms),
            "gateway_ms": block.gateway_ms,
            "rollout": dict(block.status),
        }
        for name, block in blocks.items()
    }
