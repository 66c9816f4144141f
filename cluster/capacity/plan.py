"""How much of everything a number of images needs.

The number of replicas follows from Erlang's C formula: requests arrive at random, a few replicas
answer them, and few requests may wait for long. Source: A. K. Erlang, 1917; any textbook on queues
(M/M/c). Service times spread less than the formula assumes, so the real wait is shorter.
"""

import math
from dataclasses import dataclass

from cluster.capacity.costs import Costs, EngineCost
from serve_app.args import AppArgs, Fused

HOURS_A_MONTH = 730
_GB = 1e9
_SECONDS_AN_HOUR = 3600
# A server that is busier than this has no room for the unexpected.
_BUSY = 0.7
# What a server needs beside replicas: Ray's own processes and the operating system.
_CORES_FOR_RAY = 1


@dataclass(frozen=True)
class Demand:
    """What clients send.

    burst: how many times the mean of the busiest hour the busiest minute has. image_mb: megabytes
    of a typical file.
    """

    images_per_hour: float
    images_per_day: float
    burst: float = 3
    image_mb: float = 2

    @property
    def per_second(self) -> float:
        """Return the images a second of the busiest minute."""
        return self.images_per_hour / _SECONDS_AN_HOUR * self.burst


@dataclass(frozen=True)
class Server:
    """A server for replicas. price: of an hour; None where nobody asked."""

    cores: float = 16
    gpus: int = 1
    price: float | None = None


@dataclass(frozen=True)
class Plan:
    """What a demand needs.

    wait_s: 95 of 100 images wait no longer for a replica, in the busiest minute. busy: the share of
    time for which a replica works then. gateway_cores, replica_cores: cores that are busy then.
    """

    replicas: int
    spare: int
    busy: float
    wait_s: float
    replica_cores: float
    gateway_cores: float
    memory_gb: float | None
    gpus: int
    servers: int
    price_a_month: float | None
    network_mb_per_s: float
    database_gb_a_year: float
    logs_gb_a_year: float


def plan(
    demand: Demand, cost: EngineCost, costs: Costs, server: Server, wait_s: float, args: AppArgs
) -> Plan:
    """Return what is needed so that 95 of 100 images wait at most `wait_s` for a replica.

    One replica more than that is a spare, so that one may be lost or replaced. args: the profile,
    whose layout and batches count.
    """
    busy_s = cost.batches(args.model.max_batch_size).busy_s
    needed = replicas_for(demand.per_second, busy_s, wait_s)
    spare = 1
    graph_s = costs.fused_s if isinstance(args.graph, Fused) else costs.staged_s
    beside_s = costs.decoding_s + costs.drawing_s + graph_s
    replica_cores = demand.per_second * (cost.core_s + beside_s)
    servers = _servers(needed + spare, replica_cores, cost, server)
    price = None if server.price is None else servers * server.price * HOURS_A_MONTH
    images_a_year = demand.images_per_day * 365
    memory = None if cost.memory_gb is None else (needed + spare) * cost.memory_gb
    return Plan(
        replicas=needed,
        spare=spare,
        busy=demand.per_second * busy_s / needed,
        wait_s=wait_quantile(demand.per_second, busy_s, needed),
        replica_cores=replica_cores,
        gateway_cores=demand.per_second * costs.gateway_s,
        memory_gb=memory,
        gpus=0 if cost.gpu_s is None else needed + spare,
        servers=servers,
        price_a_month=price,
        network_mb_per_s=demand.per_second * demand.image_mb,
        database_gb_a_year=images_a_year * costs.record_bytes / _GB,
        logs_gb_a_year=images_a_year * costs.log_bytes / _GB,
    )


def _servers(replicas: int, busy_cores: float, cost: EngineCost, server: Server) -> int:
    """Return how many servers hold the replicas, and keep a share of their cores free."""
    room = server.cores - _CORES_FOR_RAY
    by_replicas = max(1, int(room // cost.cores))
    if cost.gpu_s is not None:
        by_replicas = max(1, min(by_replicas, server.gpus))
    return max(math.ceil(replicas / by_replicas), math.ceil(busy_cores / (room * _BUSY)))


def replicas_for(rate: float, service_s: float, wait_s: float) -> int:
    """Return the fewest replicas of which each is busy for 70 % of the time at most, and for which
    95 of 100 requests wait at most `wait_s`. rate: requests a second.
    """
    replicas = max(1, math.ceil(rate * service_s / _BUSY))
    while wait_quantile(rate, service_s, replicas) > wait_s:
        replicas += 1
    return replicas


def wait_quantile(rate: float, service_s: float, replicas: int, share: float = 0.95) -> float:
    """Return the seconds that this share of requests wait at most, by Erlang's C formula.

    Infinite where the replicas cannot keep up.
    """
    load = rate * service_s
    if load >= replicas:
        return math.inf
    waiting = _erlang_c(load, replicas)
    if waiting <= 1 - share:
        return 0.0
    return math.log(waiting / (1 - share)) * service_s / (replicas - load)


def _erlang_c(load: float, servers: int) -> float:
    """Return the probability that a request has to wait. load: in erlangs, below `servers`.

    By the recursion of Erlang's B formula, which does not overflow.
    """
    blocking = 1.0
    for count in range(1, servers + 1):
        blocking = load * blocking / (count + load * blocking)
    return blocking / (1 - load / servers * (1 - blocking))
