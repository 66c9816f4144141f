import pytest

from cluster.capacity.costs import read_costs
from cluster.capacity.growth import growth, with_replicas
from cluster.capacity.plan import Demand
from cluster.errors import StackError
from cluster.paths import CLUSTER_PROFILE, COSTS, LOCAL_PROFILE
from serve_app.config import load_profile

ALL = read_costs(COSTS)


def args_of(profile):
    return load_profile(profile).application.args


def test_growth_names_parts_that_are_too_small():
    cost = ALL.engine("openvino-int8")
    one, hundred = growth(Demand(3600, 10_000), args_of(CLUSTER_PROFILE), cost, ALL, (1, 100))
    assert (one.images_per_s, one.full) == (1, [])
    assert [limit.images_per_s < 100 for limit in hundred.full] == [True]
    assert hundred.outcome.refused > 0.5 > one.outcome.refused == 0


def test_profile_is_read_as_if_it_allowed_more_replicas():
    args = with_replicas(args_of(CLUSTER_PROFILE), 50)
    assert args.model_size.most_replicas == 50
    assert args.model_size.autoscaling.min_replicas == 1
    assert with_replicas(args_of(LOCAL_PROFILE), 3).model_size.most_replicas == 3


def test_fewer_replicas_than_profile_asks_for_are_refused():
    args = args_of(CLUSTER_PROFILE)
    size = args.model_size
    scaling = size.autoscaling.model_copy(update={"min_replicas": 4})
    size = size.model_copy(update={"autoscaling": scaling})
    graph = args.graph.model_copy(update={"predictor": size})
    with pytest.raises(StackError, match=r"2 replicas: .*min_replicas is larger"):
        with_replicas(args.model_copy(update={"graph": graph}), 2)
