"""The tables of `lesionserve plan`."""

from collections.abc import Iterator, Sequence

from rich.table import Table

from cluster.capacity.costs import Costs, EngineCost
from cluster.capacity.growth import Growth
from cluster.capacity.limits import limits
from cluster.capacity.plan import Demand, Plan
from serve_app.args import AppArgs


def plan_table(demand: Demand, cost: EngineCost, plan: Plan) -> Table:
    """Return what is needed, a row each."""
    title = (
        f"{demand.images_per_hour:g} images in the busiest hour, up to {demand.per_second:.3g} a "
        "second in its busiest minute"
    )
    table = _table(title, f"costs of an image: {cost.measured}")
    for heading in ("", "needed", "why"):
        table.add_column(heading, overflow="fold")
    for row in _rows(demand, cost, plan):
        table.add_row(*row)
    return table


def _rows(demand: Demand, cost: EngineCost, plan: Plan) -> Iterator[tuple[str, str, str]]:
    count = plan.replicas + plan.spare
    yield (
        "replicas of the model",
        f"{plan.replicas} + {plan.spare}",
        f"busy {plan.busy:.0%} of the busiest minute; 95 of 100 images wait at most "
        f"{plan.wait_s:.2g} s. The spare one may be lost",
    )
    if plan.gpus:
        yield "GPUs", f"{plan.gpus}", "one for each replica"
    yield "cores", f"{count * cost.cores:g}", f"of which {plan.replica_cores:.2g} are busy then"
    memory = "not measured" if plan.memory_gb is None else f"{plan.memory_gb:.2g} GB"
    yield "memory", memory, "of the replicas alone"
    yield "servers for replicas", f"{plan.servers}", "a third of the cores stays free"
    if plan.price_a_month is not None:
        images = demand.images_per_day * 365 / 12
        yield (
            "price a month",
            f"{plan.price_a_month:,.0f}",
            f"{plan.price_a_month / images * 1000:.3g} for 1,000 images",
        )
    yield (
        "gateway",
        "2 processes",
        f"{plan.gateway_cores:.2g} of a core is busy; the second may be lost or upgraded",
    )
    yield "network", f"{plan.network_mb_per_s:.2g} MB/s", "images, to each of the two halves"
    yield (
        "database",
        f"{plan.database_gb_a_year:.2g} GB a year",
        f"{demand.images_per_day:g} records a day; prune_audit deletes what is too old",
    )
    yield "logs", f"{plan.logs_gb_a_year:.2g} GB a year", "of the gateway"


def limits_table(demand: Demand, args: AppArgs, cost: EngineCost, costs: Costs) -> Table:
    """Return which part is full at how many images a second, the lowest first."""
    table = _table("Full first", "each on its own, with the others large enough")
    table.add_column("part", overflow="fold")
    table.add_column("images/s", justify="right")
    table.add_column("used", justify="right")
    table.add_column("what helps then", overflow="fold")
    for limit in limits(args, cost, costs):
        used = demand.per_second / limit.images_per_s
        table.add_row(limit.part, f"{limit.images_per_s:,.0f}", f"{used:.1%}", limit.remedy)
    return table


def growth_table(rows: Sequence[Growth]) -> Table:
    """Return what becomes of an hour at each multiple of the load."""
    table = _table(
        "An hour after the load has grown at once",
        "by Serve's own policy; a replica starts in 20 s, on a new node in 140 s",
    )
    for heading in ("load", "images/s", "replicas", "refused", "the last after", "p95"):
        table.add_column(heading, justify="right")
    table.add_column("full by then", overflow="fold")
    for row in rows:
        outcome = row.outcome
        low, high = outcome.replicas
        table.add_row(
            f"{row.factor:,}x",
            f"{row.images_per_s:,.3g}",
            f"{low} to {high}",
            f"{outcome.refused:.1%}",
            f"{outcome.settled_s:.0f} s" if outcome.refused else "",
            f"{outcome.p95_s:.2g} s",
            "; ".join(limit.part for limit in row.full) or "nothing",
        )
    return table


def _table(title: str, caption: str) -> Table:
    return Table(title=title, caption=caption, title_justify="left", caption_justify="left")
