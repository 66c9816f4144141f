"""Deploying on a real Ray cluster, and damage to what serves: the fused layout."""

import shutil
import signal
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
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture
def profile(cluster, bundles) -> Path:
    """A profile of version 1, which serves."""
    profile = cluster.profile(bundles["1"])
    cluster.serve(profile, "1")
    return profile


def test_deploy_rolls_back_when_replicas_do_not_load(cluster, bundles, profile):
    with Clients(cluster.url) as clients:
        done = cluster.deploy_untried(profile, "--bundle", bundles["other finding"])
        answers = clients.stop()
    assert done.returncode == Exit.ROLLED_BACK, done.stderr
    assert "golden case golden.jpg" in done.stderr.splitlines()[-1]
    assert "rolling back to what was deployed before" in done.stderr
    assert_all_answered(answers, ["1"])


def test_deploy_changes_class_list_when_asked(cluster, bundles, profile):
    done = cluster.deploy(profile, "--bundle", bundles["other classes"], "--other-classes")
    assert done.returncode == Exit.SERVES, done.stderr
    assert cluster.version() == "3"


def test_deploy_rolls_other_bytes_in_same_folder(cluster, bundles, profile, tmp_path):
    folder = tmp_path / "current"
    shutil.copytree(bundles["1"], folder)
    assert cluster.deploy(profile, "--bundle", folder).returncode == Exit.SERVES
    shutil.rmtree(folder)
    shutil.copytree(bundles["2"], folder)
    done = cluster.deploy(profile, "--bundle", folder)
    assert done.returncode == Exit.SERVES, done.stderr
    assert cluster.version() == "2"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (flip_last_byte, "model.pth is damaged"),
        (Path.unlink, "the bundle lacks model.pth"),
    ],
    ids=["damaged", "removed"],
)
def test_replica_of_damaged_bundle_refuses_and_recovers(
    cluster, bundles, profile, tmp_path, damage, reason
):
    folder = tmp_path / "serving"
    shutil.copytree(bundles["2"], folder)
    assert cluster.deploy(profile, "--bundle", folder).returncode == Exit.SERVES
    damage(folder / "model.pth")
    (replica,) = cluster.replicas("LesionService")
    replica.kill()
    until(lambda: cluster.post().status_code == 503)
    refusals = [cluster.post() for _ in range(20)]
    assert {response.status_code for response in refusals} == {503}
    assert {response.headers["retry-after"] for response in refusals} == {"2"}
    assert {response.json()["code"] for response in refusals} == {"unavailable"}
    assert max(response.elapsed.total_seconds() for response in refusals) < 10
    refusing = f"every request is refused, the model cannot be loaded: BundleError: {reason}"
    assert cluster.serve_logs().count(refusing) == 1
    shutil.copy(bundles["2"] / "model.pth", folder)
    until(lambda: cluster.post().status_code == 200)


def test_deploy_of_good_bundle_ends_refusals(cluster, bundles, profile, tmp_path):
    folder = tmp_path / "serving"
    shutil.copytree(bundles["1"], folder)
    assert cluster.deploy(profile, "--bundle", folder).returncode == Exit.SERVES
    flip_last_byte(folder / "model.pth")
    (replica,) = cluster.replicas("LesionService")
    replica.kill()
    until(lambda: cluster.post().status_code == 503)
    done = cluster.deploy(profile, "--bundle", bundles["2"])
    assert done.returncode == Exit.SERVES, done.stderr
    assert cluster.version() == "2"


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_interrupted_deploy_goes_back(cluster, bundles, profile, signum):
    with Clients(cluster.url) as clients:
        done = cluster.deploy_and_stop(signum, profile, "--bundle", bundles["2"])
        version = cluster.version()
        answers = clients.stop()
    assert done.returncode == Exit.ROLLED_BACK, done.stderr
    assert done.stderr.splitlines()[-1].endswith("the version before serves: interrupted")
    assert version == "1"
    assert {status for _, status, _ in answers} == {200}


def test_deployment_that_failed_unattended_can_be_repeated(cluster, bundles, profile, tmp_path):
    folder = tmp_path / "mended"
    shutil.copytree(bundles["2"], folder)
    with Clients(cluster.url) as clients:
        done = cluster.deploy_damaged_and_killed(profile, "--bundle", folder)
        assert done.returncode == -signal.SIGKILL, done.stderr
        until(lambda: "DEPLOY_FAILED" in cluster.serve_status())
        shutil.copy(bundles["2"] / "model.pth", folder)
        again = cluster.deploy(profile, "--bundle", folder)
        answers = clients.stop()
    assert again.returncode == Exit.SERVES, again.stderr
    assert cluster.version() == "2"
    assert {status for _, status, _ in answers} == {200}
