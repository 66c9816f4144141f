"""Which part of the service is full first, as the number of images grows."""

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.capacity.costs import Costs, EngineCost
from serve_app.args import AppArgs


@dataclass(frozen=True)
class Limit:
    """A part that is full at this many images a second, and what then helps."""

    part: str
    images_per_s: float
    remedy: str


def limits(args: AppArgs, cost: EngineCost, costs: Costs) -> list[Limit]:
    """Return the limits of a profile with one gateway process, the lowest first."""
    return sorted(_limits(args, cost, costs), key=lambda limit: limit.images_per_s)


def _limits(args: AppArgs, cost: EngineCost, costs: Costs) -> Iterator[Limit]:
    replicas = args.model_size.most_replicas
    yield Limit(
        f"the profile's {replicas} replicas of the model",
        replicas / cost.batches(args.model.max_batch_size).busy_s,
        "raise max_replicas, with as many GPUs or cores",
    )
    seconds = {
        "preprocess": costs.decoding_s + costs.resizing_s,
        "postprocess": costs.drawing_s,
    }
    for name, image_s in seconds.items():
        if (size := args.sizes.get(name)) is not None:
            yield Limit(
                f"the profile's {size.most_replicas} replicas of {name}",
                size.most_replicas * min(size.num_cpus, args.threads) / image_s,
                f"raise max_replicas of {name}",
            )
    yield Limit(
        "one gateway process",
        1 / costs.gateway_s,
        "more workers or more gateways, which share a Redis and a PostgreSQL",
    )
    yield Limit(
        "Ray's proxy of one node",
        1 / costs.proxy_s,
        "HAProxy instead, or nginx before the proxies of several nodes",
    )
    yield Limit(
        "the audit trail of one database",
        costs.records_per_s,
        "one installation for each group of organisations, with a trail of its own",
    )
