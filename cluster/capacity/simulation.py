"""How the replicas of the model follow the load, second by second.

Images arrive at random (Poisson) and wait in one queue. A replica that is free takes a batch of
what waits, as `serve_app.batching` does. Serve's own policy decides how many replicas there are.
The other stages are left out: they are cheaper, and scale in the same way.
"""

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from cluster.capacity.batches import Batches
from cluster.capacity.policy import INTERVAL_S, Policy
from serve_app.args import Size


@dataclass(frozen=True)
class Starts:
    """How long a replica needs until it answers, on a node that is there and on a new one.

    per_node: replicas that fit onto a node. nodes: nodes that are there from the beginning.
    """

    replica_s: float = 20
    node_s: float = 120
    per_node: int = 1
    nodes: int = 2


@dataclass(frozen=True)
class Outcome:
    """What became of the images that arrived from `since` on.

    refused: their share that got a 503. p95_s: latency of the rest, in seconds. replicas: the
    smallest and the largest number that was there. settled_s: seconds after `since` at which the
    last image was refused; 0 where none was.
    """

    images: int
    refused: float
    p95_s: float
    replicas: tuple[int, int]
    settled_s: float


@dataclass
class _Replicas:
    """The replicas that are there, of which some are busy, and those on their way."""

    size: Size
    starts: Starts
    ready: int = field(init=False)
    target: int = field(init=False)
    idle: int = field(init=False)
    _policy: Policy | None = field(init=False)
    _coming: list[float] = field(default_factory=list, init=False)
    _nodes: int = field(init=False)

    def __post_init__(self) -> None:
        scaling = self.size.autoscaling
        self._policy = None if scaling is None else Policy(scaling)
        count = self.size.most_replicas if scaling is None else max(1, scaling.min_replicas)
        self.ready = self.target = self.idle = count
        self._nodes = max(self.starts.nodes, math.ceil(count / self.starts.per_node))

    @property
    def most_requests(self) -> int:
        """The requests that are let in at once."""
        return self.ready * self.size.max_ongoing_requests + self.size.max_queued_requests

    def follow(self, now: float, requests: float) -> None:
        """Let Serve decide, start what it wants, and let in what has started."""
        while self._coming and self._coming[0] <= now:
            heapq.heappop(self._coming)
            self.ready += 1
            self.idle += 1
        if self._policy is None:
            return
        self.target = self._policy.decide(now, requests, self.ready, self.target)
        while self.ready + len(self._coming) < self.target:
            heapq.heappush(self._coming, now + self._start_s())
        while self._coming and self.ready + len(self._coming) > self.target:
            self._coming.pop()
            heapq.heapify(self._coming)
        while self.idle and self.ready > self.target:
            self.idle -= 1
            self.ready -= 1

    def free(self) -> None:
        """Take back a replica whose batch is done, or let it go where fewer are wanted."""
        if self.ready > self.target:
            self.ready -= 1
        else:
            self.idle += 1

    def _start_s(self) -> float:
        """Return how long the next replica takes. A node that was added stays."""
        count = self.ready + len(self._coming) + 1
        if count <= self._nodes * self.starts.per_node:
            return self.starts.replica_s
        return self.starts.replica_s + self.starts.node_s


class _Queue:
    """The images that wait or are answered, and what became of those that came from `since` on."""

    def __init__(self, replicas: _Replicas, batches: Batches, since: float) -> None:
        self.images = self.refused = 0
        self.last_refusal = since
        self.latencies: list[float] = []
        self._replicas = replicas
        self._batches = batches
        self._since = since
        self._waiting: deque[float] = deque()
        self._busy: list[tuple[float, int]] = []  # end and size of each batch that runs
        self._running = 0

    @property
    def requests(self) -> int:
        return len(self._waiting) + self._running

    def add(self, at: float) -> None:
        """Let an image in, or refuse it."""
        counts = at >= self._since
        self.images += counts
        if self.requests >= self._replicas.most_requests:
            self.refused += counts
            self.last_refusal = max(self.last_refusal, at)
        else:
            self._waiting.append(at)
            self.run(at)

    def run(self, now: float) -> None:
        """Give a batch to each replica that is free."""
        while self._waiting and self._replicas.idle:
            count = min(self._batches.largest, len(self._waiting))
            end = now + self._batches.seconds(count)
            arrivals = [self._waiting.popleft() for _ in range(count)]
            self.latencies.extend(end - at for at in arrivals if at >= self._since)
            heapq.heappush(self._busy, (end, count))
            self._replicas.idle -= 1
            self._running += count

    def finish(self, until: float) -> None:
        """Answer the batches that are done by then, and go on with what waits."""
        while self._busy and self._busy[0][0] <= until:
            end, count = heapq.heappop(self._busy)
            self._running -= count
            self._replicas.free()
            self.run(end)


def simulate(
    rate: Callable[[float], float],
    size: Size,
    batches: Batches,
    starts: Starts,
    seconds: float,
    since: float = 0.0,
    seed: int = 1,
) -> Outcome:
    """Return what becomes of the images that arrive within `seconds`.

    rate: images a second, by the second. The same seed gives the same images.
    """
    replicas = _Replicas(size, starts)
    queue = _Queue(replicas, batches, since)
    rng = np.random.default_rng(seed)
    counts: list[int] = []
    for tick in range(round(seconds / INTERVAL_S)):
        start = tick * INTERVAL_S
        arrivals = start + np.sort(rng.random(rng.poisson(rate(start) * INTERVAL_S))) * INTERVAL_S
        for at in arrivals.tolist():
            queue.finish(at)
            queue.add(at)
        if start >= since:
            counts.append(replicas.ready)
        queue.finish(start + INTERVAL_S)
        replicas.follow(start + INTERVAL_S, queue.requests)
        queue.run(start + INTERVAL_S)
    return Outcome(
        images=queue.images,
        refused=queue.refused / queue.images if queue.images else 0.0,
        p95_s=float(np.quantile(queue.latencies, 0.95)) if queue.latencies else math.nan,
        replicas=(min(counts), max(counts)),
        settled_s=queue.last_refusal - since,
    )
