import pytest

from cluster.capacity.costs import read_costs
from cluster.capacity.limits import limits
from cluster.paths import CLUSTER_PROFILE, COSTS, LOCAL_PROFILE
from serve_app.config import load_profile

ALL = read_costs(COSTS)
PARTS = 6


def args_of(profile):
    return load_profile(profile).application.args


def test_lowest_limit_is_first():
    found = limits(args_of(CLUSTER_PROFILE), ALL.engine("portable-gpu"), ALL)
    rates = [limit.images_per_s for limit in found]
    assert rates == sorted(rates)
    assert len(rates) == PARTS


def test_limit_of_model_is_that_of_profile():
    found = limits(args_of(CLUSTER_PROFILE), ALL.engine("portable-gpu"), ALL)
    (model,) = (limit for limit in found if "the model" in limit.part)
    assert model.part == "the profile's 8 replicas of the model"
    assert model.images_per_s == pytest.approx(8 / 0.0244, rel=0.01)


def test_fused_profile_has_no_limit_of_other_stages():
    found = limits(args_of(LOCAL_PROFILE), ALL.engine("demo-int8"), ALL)
    assert len(found) == PARTS - 2
