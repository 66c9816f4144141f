"""`lesionserve deploy` on a real Ray cluster, while clients ask: the fused layout."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.deploy.errors import Exit
from tests.integration.ray_cluster import Clients, RayCluster, assert_all_answered, ray_cluster
from tests.integration.small_bundles import pack_bundles
from tests.waiting import until

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Path]:
    return pack_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture
def profile(cluster, bundles) -> Path:
    """A profile of version 1, which serves."""
    profile = cluster.profile(bundles["1"])
    cluster.serve(profile, "1")
    return profile


def own_lines(stderr: str) -> str:
    """Leave out Ray's warning of the clusters that other tests run meanwhile."""
    lines = stderr.splitlines(keepends=True)
    return "".join(line for line in lines if "Found multiple active Ray instances" not in line)


@pytest.mark.parametrize(
    ("bundle", "status", "reason"),
    [
        ("damaged", Exit.REFUSED, "model.pth is damaged"),
        ("other finding", Exit.REFUSED, "golden case golden.jpg"),
        ("other classes", Exit.MISUSE, "from [LSIL, HSIL] to [HSIL, LSIL]"),
    ],
)
def test_deploy_refuses_bundle_before_any_change(cluster, bundles, profile, bundle, status, reason):
    with Clients(cluster.url) as clients:
        done = cluster.deploy(profile, "--bundle", bundles[bundle])
        answers = clients.stop()
    assert (done.returncode, reason in done.stderr) == (status, True), done.stderr
    assert "nothing was changed" in done.stderr
    assert len(own_lines(done.stderr)) < 1200
    assert_all_answered(answers, ["1"])


def test_deploy_refuses_profile_without_room_for_surge(cluster, bundles, profile):
    large = cluster.profile(bundles["2"], num_cpus=8)
    done = cluster.deploy(large, "--room-within", "2")
    assert done.returncode == Exit.REFUSED, done.stderr
    assert "no room for a new replica of the model beside the old ones: 8 CPU" in done.stderr
    assert cluster.version() == "1"


def test_deploy_refuses_more_replicas_than_there_is_room_for(cluster, bundles, profile):
    many = cluster.profile(bundles["2"], num_replicas=8)
    done = cluster.deploy(many, "--room-within", "2")
    assert done.returncode == Exit.REFUSED, done.stderr
    assert "no room for 8 new replicas of the model" in done.stderr
    assert cluster.version() == "1"


def test_deploy_refuses_wrong_token(cluster, bundles, profile):
    done = cluster.deploy(profile, RAY_AUTH_TOKEN="w" * 64)
    assert done.returncode == Exit.REFUSED, done.stderr
    assert "refuses this token" in done.stderr


def test_check_only_tries_bundle_and_changes_nothing(cluster, bundles, profile):
    replicas = cluster.replicas("LesionService")
    done = cluster.deploy(profile, "--bundle", bundles["2"], "--check-only")
    assert done.returncode == Exit.SERVES, done.stderr
    lines = done.stderr.splitlines()
    assert any("1 golden case reproduced" in line for line in lines)
    assert lines[-1].startswith("checked: small 2 (")
    assert lines[-1].endswith("nothing was changed")
    assert cluster.version() == "1"
    assert cluster.replicas("LesionService") == replicas


def test_deploy_rolls_good_bundle_without_lost_request(cluster, bundles, profile):
    with Clients(cluster.url) as clients:
        done = cluster.deploy(profile, "--bundle", bundles["2"])
        until(lambda: clients.answers[-1][2] == "2")
        answers = clients.stop()
    assert done.returncode == Exit.SERVES, done.stderr
    assert_all_answered(answers, ["1", "2"])
    lines = done.stderr.splitlines()
    assert lines[0].startswith("bundle: small 2 (")
    assert lines[-1].startswith("serves: small 2 (")
    assert any("1 golden case reproduced" in line for line in lines)
    replicas = cluster.replicas("LesionService")
    again = cluster.deploy(profile, "--bundle", bundles["2"])
    assert again.returncode == Exit.SERVES, again.stderr
    assert again.stderr.splitlines()[-1].endswith("nothing was changed")
    assert cluster.replicas("LesionService") == replicas
