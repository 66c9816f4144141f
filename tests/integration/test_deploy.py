"""`lesionserve deploy` on a real Ray cluster, while clients ask: the fused layout."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster.deploy_errors import Exit
from tests.integration.ray_cluster import (
    Clients,
    RayCluster,
    assert_all_answered,
    flip_last_byte,
    pack_bundle,
    ray_cluster,
    until,
    with_changed_golden_case,
)

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("bundles")
    bundles = {version: pack_bundle(folder, version) for version in ("1", "2")}
    bundles["other classes"] = pack_bundle(folder, "3", "HSIL", "LSIL")
    bundles["damaged"] = Path(shutil.copytree(bundles["2"], folder / "damaged"))
    flip_last_byte(bundles["damaged"] / "model.pth")
    bundles["other finding"] = with_changed_golden_case(
        Path(shutil.copytree(bundles["2"], folder / "other-finding"))
    )
    return bundles


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture
def profile(cluster, bundles) -> Path:
    """A profile of version 1, which serves."""
    profile = cluster.profile(bundles["1"])
    if cluster.version() != "1":
        done = cluster.deploy(profile, "--other-classes")
        assert done.returncode == Exit.SERVES, done.stderr
    assert cluster.version() == "1"
    return profile


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
    assert any("1 golden cases reproduced" in line for line in lines)


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
    assert len(done.stderr) < 1200
    assert_all_answered(answers, ["1"])


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


def test_deploy_refuses_profile_without_room_for_surge(cluster, bundles, profile):
    large = cluster.profile(bundles["2"], num_cpus=8)
    done = cluster.deploy(large, "--room-within", "2")
    assert done.returncode == Exit.REFUSED, done.stderr
    assert "no room for a new replica of the model beside the old ones: 8 CPU" in done.stderr
    assert cluster.version() == "1"


def test_deploy_refuses_wrong_token(cluster, bundles, profile):
    done = cluster.deploy(profile, RAY_AUTH_TOKEN="w" * 64)
    assert done.returncode == Exit.REFUSED, done.stderr
    assert "refuses this token" in done.stderr


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
    (replica,) = cluster.replicas("FrontDoor")
    replica.kill()
    until(lambda: cluster.post().status_code == 503)
    refusals = [cluster.post() for _ in range(20)]
    assert {response.status_code for response in refusals} == {503}
    assert {response.headers["retry-after"] for response in refusals} == {"1"}
    assert {response.json()["code"] for response in refusals} == {"unavailable"}
    assert max(response.elapsed.total_seconds() for response in refusals) < 10
    refusing = f"every request is refused, the model cannot be loaded: BundleError: {reason}"
    assert cluster.serve_logs().count(refusing) == 1
    shutil.copy(bundles["2"] / "model.pth", folder)
    until(lambda: cluster.post().status_code == 200)


def test_deploy_of_good_bundle_ends_the_refusals(cluster, bundles, profile, tmp_path):
    folder = tmp_path / "serving"
    shutil.copytree(bundles["1"], folder)
    assert cluster.deploy(profile, "--bundle", folder).returncode == Exit.SERVES
    flip_last_byte(folder / "model.pth")
    (replica,) = cluster.replicas("FrontDoor")
    replica.kill()
    until(lambda: cluster.post().status_code == 503)
    done = cluster.deploy(profile, "--bundle", bundles["2"])
    assert done.returncode == Exit.SERVES, done.stderr
    assert cluster.version() == "2"
