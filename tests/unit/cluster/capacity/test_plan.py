import math

import pytest

from cluster.capacity.costs import read_costs
from cluster.capacity.plan import Demand, Server, plan, replicas_for, wait_quantile
from cluster.paths import CLUSTER_PROFILE, COSTS, LOCAL_PROFILE
from serve_app.config import load_profile

ALL = read_costs(COSTS)
ARGS = load_profile(CLUSTER_PROFILE).application.args


def plan_for(demand: Demand, engine: str = "openvino-int8", server: Server | None = None):
    return plan(demand, ALL.engine(engine), ALL, server or Server(), wait_s=2, args=ARGS)


def test_one_replica_waits_as_long_as_formula_of_one_server_says():
    # M/M/1: the wait is longer than t with the probability load * exp(-(1 - load) t / service).
    wait = wait_quantile(0.5, 1, 1)
    assert 0.5 * math.exp(-0.5 * wait) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("load", "replicas", "waiting"),
    # From tables of Erlang's C formula.
    [(2, 3, 0.4444), (5, 7, 0.3241), (10, 12, 0.4493), (0.7, 1, 0.7)],
)
def test_wait_agrees_with_tables_of_erlangs_formula(load, replicas, waiting):
    wait = wait_quantile(load, 1, replicas)
    assert waiting * math.exp(-(replicas - load) * wait) == pytest.approx(0.05, rel=1e-3)


def test_nobody_waits_if_few_do():
    assert wait_quantile(0.01, 1, 1) == 0


def test_replicas_that_cannot_keep_up_wait_for_ever():
    assert wait_quantile(3, 1, 3) == math.inf


def test_thousands_of_replicas_are_computed():
    assert 2858 <= replicas_for(2000, 1, 2) <= 2860


def test_short_wait_needs_more_replicas():
    assert (replicas_for(1, 0.5, 0.01), replicas_for(1, 0.5, 5)) == (3, 1)


def test_plan_follows_from_demand():
    needed = plan_for(Demand(3600, 10_000, burst=2, image_mb=3))
    assert (needed.replicas, needed.spare) == (1, 1)
    assert needed.busy == pytest.approx(2 * 0.574 / 2)
    assert needed.network_mb_per_s == 6
    assert needed.database_gb_a_year == pytest.approx(10_000 * 365 * ALL.record_bytes / 1e9)
    assert needed.gpus == 0
    assert needed.price_a_month is None


def test_each_replica_on_gpu_has_its_own():
    needed = plan_for(Demand(600, 3000), "portable-gpu", Server(cores=16, gpus=4, price=2))
    assert (needed.gpus, needed.servers) == (2, 1)
    assert needed.price_a_month == 2 * 730
    assert plan_for(Demand(600, 3000), "portable-gpu", Server(gpus=1)).servers == 2


def test_servers_keep_cores_free():
    # 20 images/s in 0.574 s of a core are 11.5 cores and more, of 15 that a server has.
    needed = plan_for(Demand(72_000, 72_000, burst=1))
    assert needed.replica_cores > 11.5
    assert needed.servers == 2


def test_fused_layout_costs_less_beside_the_model():
    cost = ALL.engine("openvino-int8")
    fused = load_profile(LOCAL_PROFILE).application.args
    staged, together = (
        plan(Demand(3600, 3600, burst=1), cost, ALL, Server(), 2, args).replica_cores
        for args in (ARGS, fused)
    )
    assert staged - together == pytest.approx(ALL.staged_s - ALL.fused_s)
