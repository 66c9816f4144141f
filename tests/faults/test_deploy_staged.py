"""Deploying on a real Ray cluster, and damage to what serves: the staged layout."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.deploy.errors import Exit
from tests.integration.ray_cluster import Clients, RayCluster, assert_all_answered, ray_cluster
from tests.integration.small_bundles import flip_last_byte, pack_bundles
from tests.waiting import until

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Path]:
    return pack_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster(num_cpus=16) as cluster:
        yield cluster


@pytest.fixture
def profile(cluster, bundles) -> Path:
    """A profile of version 1, which serves."""
    profile = cluster.profile(bundles["1"], "staged")
    cluster.serve(profile, "1")
    return profile


def test_good_bundle_rolls_through_all_stages(cluster, bundles, profile):
    with Clients(cluster.url) as clients:
        for bundle in ("2", "1", "2"):
            done = cluster.deploy(profile, "--bundle", bundles[bundle])
            assert done.returncode == Exit.SERVES, done.stderr
            until(lambda bundle=bundle: clients.answers[-1][2] == bundle)
        answers = clients.stop()
    assert_all_answered(answers, ["1", "2"])


def test_failing_predictor_rolls_all_stages_back(cluster, bundles, profile):
    with Clients(cluster.url) as clients:
        done = cluster.deploy_untried(profile, "--bundle", bundles["other finding"])
        answers = clients.stop()
    assert done.returncode == Exit.ROLLED_BACK, done.stderr
    assert "golden case golden.jpg" in done.stderr.splitlines()[-1]
    assert "rolling back to what was deployed before" in done.stderr
    assert_all_answered(answers, ["1"])


@pytest.mark.parametrize("stage", ["Predictor", "Preprocess"])
def test_stage_that_cannot_be_replaced_refuses_and_recovers(
    cluster, bundles, profile, tmp_path, stage
):
    folder = tmp_path / "serving"
    shutil.copytree(bundles["2"], folder)
    assert cluster.deploy(profile, "--bundle", folder).returncode == Exit.SERVES
    flip_last_byte(folder / "model.pth")
    (replica,) = cluster.replicas(stage)
    replica.kill()
    until(lambda: cluster.post().status_code == 503)
    # Each of the two ingress replicas finds it out with the first request that waits there.
    until(lambda: all(cluster.post().elapsed.total_seconds() < 2 for _ in range(10)))
    refusals = [cluster.post() for _ in range(20)]
    assert {response.status_code for response in refusals} == {503}
    assert {response.headers["retry-after"] for response in refusals} == {"2"}
    assert "model.pth is damaged" in cluster.serve_status()
    # Once by each of the two ingress replicas, or by the one that was asked.
    assert cluster.serve_logs().count(f"no replica of {stage} starts: model.pth is damaged") in (
        1,
        2,
    )
    shutil.copy(bundles["2"] / "model.pth", folder)
    until(lambda: cluster.post().status_code == 200)
