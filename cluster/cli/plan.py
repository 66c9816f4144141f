from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cluster.cli import console
from cluster.cli.options import Debug
from cluster.paths import CLUSTER_PROFILE, COSTS

if TYPE_CHECKING:
    from cluster.capacity.costs import Costs, EngineCost
    from cluster.capacity.plan import Demand
    from serve_app.args import AppArgs

_GROWTH = (1, 10, 100, 1000, 10_000)


def plan(
    images_per_hour: Annotated[
        float, typer.Option(min=0.01, help="in the busiest hour of an ordinary day")
    ],
    engine: Annotated[str, typer.Option(help="of the costs, such as openvino-int8")],
    images_per_day: Annotated[
        float | None, typer.Option(min=0.01, help="[default: five busiest hours]")
    ] = None,
    burst: Annotated[
        float, typer.Option(min=1, help="of the busiest minute to the mean of that hour")
    ] = 3,
    image_mb: Annotated[float, typer.Option(min=0.001, help="megabytes of a typical file")] = 2,
    wait: Annotated[
        float, typer.Option(min=0.01, help="seconds for which 5 of 100 images may wait, or longer")
    ] = 2,
    server_cores: Annotated[float, typer.Option(min=2, help="of a server for replicas")] = 16,
    server_gpus: Annotated[int, typer.Option(min=0, help="of such a server")] = 1,
    server_price: Annotated[float | None, typer.Option(min=0, help="of an hour of it")] = None,
    profile: Annotated[Path, typer.Option(help="whose limits are compared")] = CLUSTER_PROFILE,
    max_replicas: Annotated[
        int | None, typer.Option(min=1, help="of the model, instead of the profile's")
    ] = None,
    costs: Annotated[
        Path, typer.Option(help="what an image costs; copy it and put in what you measured")
    ] = COSTS,
    simulate: Annotated[
        bool, typer.Option("--simulate", help="let the load grow, and Serve's autoscaler follow")
    ] = False,
    debug: Debug = False,
) -> None:
    """Say what a number of images needs, and which part is full first when it grows."""
    from cluster.capacity.costs import read_costs
    from cluster.capacity.growth import with_replicas
    from cluster.capacity.plan import Demand, Server
    from cluster.capacity.plan import plan as plan_for
    from cluster.cli.plan_tables import limits_table, plan_table
    from serve_app.config import load_profile

    all_costs = read_costs(costs)
    cost = all_costs.engine(engine)
    args = load_profile(profile).application.args
    if max_replicas is not None:
        args = with_replicas(args, max_replicas)
    demand = Demand(images_per_hour, images_per_day or 5 * images_per_hour, burst, image_mb)
    server = Server(server_cores, server_gpus, server_price)
    needed = plan_for(demand, cost, all_costs, server, wait, args)
    console.output_table(plan_table(demand, cost, needed))
    console.output_table(limits_table(demand, args, cost, all_costs))
    if simulate:
        _simulate(demand, args, cost, all_costs)


def _simulate(demand: "Demand", args: "AppArgs", cost: "EngineCost", costs: "Costs") -> None:
    """Print what an hour gives in which the load is a multiple of the demand."""
    from cluster.capacity.growth import growth
    from cluster.cli.plan_tables import growth_table

    with console.clock("simulating"):
        rows = list(growth(demand, args, cost, costs, _GROWTH))
    console.output_table(growth_table(rows))
