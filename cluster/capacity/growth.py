"""What happens as the load grows to a multiple of what a clinic sends."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pydantic import ValidationError

from cluster.capacity.costs import Costs, EngineCost
from cluster.capacity.limits import Limit, limits
from cluster.capacity.plan import Demand
from cluster.capacity.simulation import Outcome, Starts, simulate
from cluster.errors import StackError
from serve_app.args import AppArgs

_STEP_AT_S = 60.0
_SECONDS = 3660.0


@dataclass(frozen=True)
class Growth:
    """One load: what becomes of its images, and which parts of the service are full then."""

    factor: int
    images_per_s: float
    outcome: Outcome
    full: list[Limit]


def growth(
    demand: Demand, args: AppArgs, cost: EngineCost, costs: Costs, factors: Sequence[int]
) -> Iterator[Growth]:
    """Yield, for each factor, an hour that follows a sudden step to this multiple of the load."""
    mean = demand.images_per_hour / 3600
    batches = cost.batches(args.model.max_batch_size)
    per_node = Starts() if cost.gpu_s is not None else Starts(per_node=4)
    for factor in factors:
        outcome = simulate(
            _step(mean, mean * factor),
            args.model_size,
            batches,
            per_node,
            _SECONDS,
            _STEP_AT_S,
        )
        full = [limit for limit in limits(args, cost, costs) if limit.images_per_s < mean * factor]
        yield Growth(factor, mean * factor, outcome, full)


def with_replicas(args: AppArgs, most: int) -> AppArgs:
    """Return the profile as if it allowed so many replicas of the model.

    Raise StackError where the profile asks for more at least.
    """
    name = "predictor" if "predictor" in args.sizes else "ingress"
    values = args.model_dump()
    size = values["graph"][name]
    if size["autoscaling"] is None:
        size["num_replicas"] = most
    else:
        size["autoscaling"]["max_replicas"] = most
    try:
        return AppArgs.model_validate(values)
    except ValidationError as error:
        raise StackError(f"{most} replicas: {error.errors()[0]['msg']}", exit_status=2) from error


def _step(before: float, after: float) -> Callable[[float], float]:
    return lambda second: before if second < _STEP_AT_S else after
