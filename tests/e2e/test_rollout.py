"""Rollouts with `lesionserve up --candidate`: both models, the gateway and the commands are real.

Most tests share one stack, and follow each other.
"""

import json
import os
import signal
import sqlite3
import ssl
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest

from cluster.paths import DEMO_BUNDLE
from pipeline.bundle.manifest import read_manifest
from tests.bundle_variants import renamed, with_threshold
from tests.e2e.up import COMMAND, Up, running
from tests.waiting import until
from weights.recipe.dataset import write_dataset

pytestmark = [pytest.mark.cluster, pytest.mark.rollouts]

# Of the recipe, beyond the images that the model was trained on and those in its bundle.
FIRST_SEED, IMAGES = 1_000_500, 40
# Drops some lesions of some of these images, and none of the golden images' certain ones.
THRESHOLD = 0.97
STABLE = read_manifest(DEMO_BUNDLE).digest
DATABASE = "lesionserve.sqlite3"
# On a busy machine an answer may take many times as long as the one before.
PATIENT = ("--max-slow", "0.9", "--slow-factor", "50")


@dataclass
class Stack:
    """A running stack with a candidate, and a clinic that sends it images."""

    up: Up
    data: Path
    candidate: Path
    images: list[bytes]

    @property
    def digest(self) -> str:
        return read_manifest(self.candidate).digest

    def rollout(self, *arguments: str) -> str:
        command = [str(COMMAND), "rollout", *arguments, "--data", str(self.data)]
        environment = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.rollout("status", "--json"))
        return status

    def start(self, mode: str, *options: str) -> None:
        self.rollout("start", str(self.candidate), "--mode", mode, *options)
        until(lambda: self.status()["seen_at"] is not None)

    def post(self, number: int, examination: str) -> str:
        """Send one image, and return the digest of the model that answered."""
        response = httpx.post(
            f"{self.up.url}/predict/?masks=none&visualization=none",
            files={"file": ("a.jpg", self.images[number % len(self.images)])},
            headers={"X-API-Key": self.up.key, "X-Examination-Id": examination},
            timeout=60,
            verify=ssl.create_default_context(cafile=self.up.ca),
        )
        assert response.status_code == 200, response.text
        digest: str = response.json()["model"]["bundle_sha256"]
        return digest

    def records(self) -> Counter[str]:
        """Return how many requests of clients have ended in each state."""
        with closing(sqlite3.connect(self.data / DATABASE)) as database:
            rows = database.execute(
                "SELECT state, COUNT(*) FROM usage_record WHERE source = 'client' GROUP BY state"
            )
            return Counter(dict(rows.fetchall()))

    def post_until_end(self, most: int) -> set[str]:
        """Send images from two clients until the rollout has ended, and return who answered."""
        digests: set[str] = set()
        with ThreadPoolExecutor(2) as threads:
            for first in range(0, most, 20):
                numbers = range(first, first + 20)
                digests |= set(threads.map(self.post, numbers, map("e{}".format, numbers)))
                if self.status()["state"] != "running":
                    return digests
        raise AssertionError(f"it still runs: {self.status()}")


class Crowd:
    """Four clients that send images until the block ends."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._numbers = count()
        self._has_ended = threading.Event()
        self._threads = [threading.Thread(target=self._send) for _ in range(4)]
        self.digests: set[str] = set()
        self.failures: list[str] = []
        self.sent = 0

    def _send(self) -> None:
        while not self._has_ended.is_set():
            number = next(self._numbers)
            try:
                self.digests.add(self._stack.post(number, f"crowd{number}"))
            except (AssertionError, httpx.HTTPError) as error:
                self.failures.append(repr(error))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._has_ended.set()
        for thread in self._threads:
            thread.join()
        self.sent = next(self._numbers)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    folder = tmp_path_factory.mktemp("images")
    write_dataset(folder, FIRST_SEED, IMAGES, workers=1)
    return [path.read_bytes() for path in sorted(folder.rglob("*.jpg"))]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, images: list[bytes]) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("rollout")
    candidate = with_threshold(folder / "strict", THRESHOLD)
    with running(folder, "--candidate", str(candidate)) as up:
        yield Stack(up, folder / "data", candidate, images)


def test_shadow_of_candidate_that_loses_lesions_is_rolled_back(stack: Stack):
    stack.start("shadow", "--max-disagreement", "0.01", *PATIENT)
    assert stack.post_until_end(1000) == {STABLE}
    status = stack.status()
    assert (status["state"], status["reason"].split(":")[0]) == ("rolled_back", "disagreement")
    assert status["lost"] > 0
    assert status["failed"] == 0


def test_canary_is_sticky_and_answers_from_both(stack: Stack):
    stack.start("canary", "--percent", "50", "--max-disagreement", "0.9", *PATIENT)
    until(lambda: {stack.post(0, f"until {n}".replace(" ", "-")) for n in range(8)} != {STABLE})
    answers = {
        f"x{number}": {stack.post(0, f"x{number}") for _ in range(2)} for number in range(20)
    }
    assert {len(digests) for digests in answers.values()} == {1}
    assert set().union(*answers.values()) == {STABLE, stack.digest}
    stack.rollout("abort", "--reason", "seen enough")
    until(lambda: {stack.post(0, f"y{n}") for n in range(8)} == {STABLE})
    assert stack.status()["reason"] == "seen enough"


def test_candidate_that_hangs_costs_no_answer_and_is_rolled_back(stack: Stack):
    replica = replica_of("candidate", stack.up)
    stack.start("canary", "--patience-s", "1", "--max-disagreement", "0.9", *PATIENT)
    until(lambda: stack.post(0, "z") == stack.digest)
    replica.send_signal(signal.SIGSTOP)
    try:
        digests = stack.post_until_end(200)
    finally:
        replica.send_signal(signal.SIGCONT)
    assert STABLE in digests
    status = stack.status()
    assert (status["state"], status["reason"].split(":")[0]) == ("rolled_back", "errors")


def test_no_answer_is_lost_while_rollouts_come_and_go(stack: Stack):
    before = stack.records()
    with Crowd(stack) as crowd:
        stack.start("shadow", "--max-disagreement", "0.01", *PATIENT)
        until(lambda: stack.status()["state"] == "rolled_back", within_s=300)
        stack.start("canary", "--percent", "50", "--max-disagreement", "0.9", *PATIENT)
        until(lambda: stack.digest in crowd.digests, within_s=60)
        stack.rollout("abort", "--reason", "seen enough")
        stack.start("canary", "--percent", "50", "--max-disagreement", "0.9", *PATIENT)
        crowd.digests.clear()
        until(lambda: stack.digest in crowd.digests, within_s=60)
        compared = stack.status()["images"]
        # As the kernel does with the largest process where memory runs out; Serve starts another.
        replica_of("candidate", stack.up).kill()
        until(lambda: stack.status()["images"] > compared + 10, within_s=120)
        if stack.status()["state"] == "running":
            stack.rollout("abort", "--reason", "the candidate was killed")
    assert crowd.digests == {STABLE, stack.digest}
    assert crowd.failures == []
    assert stack.records() - before == Counter({"succeeded": crowd.sent})


def test_candidate_that_answers_alike_stays_and_is_promoted(tmp_path: Path, images: list[bytes]):
    candidate = renamed(tmp_path / "same")
    with running(tmp_path, "--candidate", str(candidate)) as up:
        stack = Stack(up, tmp_path / "data", candidate, images)
        stack.start("canary", "--percent", "50", "--max-disagreement", "0.01", *PATIENT)
        for number in range(80):
            stack.post(number, f"e{number}")
        until(lambda: stack.status()["images"] > 0)
        status = stack.status()
        assert (status["state"], status["failed"]) == ("running", 0)
        assert (status["lost"], status["added"], status["reclassified"]) == (0, 0, 0)
        assert status["agreed"] > 0
        stack.rollout("promote")
        assert stack.status()["state"] == "running"
    with running(tmp_path, "--bundle", str(candidate)) as up:
        stack = Stack(up, tmp_path / "data", candidate, images)
        until(lambda: stack.status()["state"] == "promoted")
        assert stack.post(0, "after") == stack.digest


def replica_of(application: str, up: Up) -> psutil.Process:
    """Return the process of the application's only replica."""
    (replica,) = [
        process
        for process, title in up.processes().items()
        if f"ServeReplica:{application}:" in title
    ]
    return replica
