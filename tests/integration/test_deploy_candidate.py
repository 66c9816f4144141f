"""`lesionserve deploy --candidate` on a real Ray cluster, while clients ask the stable model."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from cluster.deploy.errors import Exit
from pipeline.bundle.manifest import read_manifest
from tests.integration.ray_cluster import (
    TOKEN,
    Clients,
    RayCluster,
    assert_all_answered,
    ray_cluster,
)
from tests.integration.small_bundles import pack_bundles
from tests.waiting import until

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


@pytest.fixture(scope="module")
def bundles(tmp_path_factory) -> dict[str, Path]:
    return pack_bundles(tmp_path_factory.mktemp("bundles"))


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with ray_cluster() as cluster:
        yield cluster


@pytest.fixture
def profile(cluster, bundles) -> Path:
    """A profile of version 1, which serves alone."""
    # An earlier test's candidate may still be ending, which no deployment may disturb.
    until(lambda: "candidate" not in cluster.applications() or model(cluster, "/candidate"))
    profile = cluster.profile(bundles["1"])
    cluster.serve(profile, "1")
    done = cluster.deploy(profile, "--remove-candidate")
    assert done.returncode == Exit.SERVES, done.stderr
    until(lambda: "candidate" not in cluster.applications())
    return profile


def model(cluster: RayCluster, path: str) -> dict[str, object] | None:
    """Return what the application at the path says of its model; None where there is none."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    response = httpx.get(f"{cluster.url}{path}/model", headers=headers, trust_env=False, timeout=60)
    return response.json() if response.is_success else None


def digest(bundle: Path) -> str:
    return read_manifest(bundle).digest


def niceness(application: str) -> int:
    """Return that of the application's replica, which Ray starts as this process's descendant."""
    (replica,) = (
        process
        for process in psutil.Process().children(recursive=True)
        if f"ServeReplica:{application}:" in " ".join(process.cmdline())
    )
    return replica.nice()


def test_candidate_is_deployed_promoted_and_removed_without_lost_request(cluster, bundles, profile):
    with Clients(cluster.url) as clients:
        done = cluster.deploy(profile, "--candidate", "--bundle", bundles["2"])
        assert done.returncode == Exit.SERVES, done.stderr
        candidate = model(cluster, "/candidate")
        assert candidate is not None
        assert candidate["digest"] == digest(bundles["2"])
        assert 0 <= candidate["score_threshold"] <= 1
        assert model(cluster, "")["digest"] == digest(bundles["1"])
        assert niceness("candidate") == 19  # of Ray's workers: 15

        done = cluster.deploy(profile, "--bundle", bundles["2"])
        assert done.returncode == Exit.SERVES, done.stderr
        assert "the candidate is removed" in done.stderr
        until(lambda: clients.answers[-1][2] == "2")
        until(lambda: model(cluster, "/candidate") is None)
        answers = clients.stop()
    assert_all_answered(answers, ["1", "2"])


def test_deploy_keeps_other_candidate_beside_it(cluster, bundles, profile):
    done = cluster.deploy(profile, "--candidate", "--bundle", bundles["2"])
    assert done.returncode == Exit.SERVES, done.stderr
    again = cluster.deploy(cluster.profile(bundles["1"], max_ongoing_requests=20))
    assert again.returncode == Exit.SERVES, again.stderr
    assert model(cluster, "/candidate")["digest"] == digest(bundles["2"])


@pytest.mark.parametrize(
    ("bundle", "status", "reason"),
    [
        ("damaged", Exit.REFUSED, "model.pth is damaged"),
        ("other classes", Exit.MISUSE, "from [LSIL, HSIL] to [HSIL, LSIL]"),
    ],
)
def test_unfit_candidate_is_refused_before_any_change(
    cluster, bundles, profile, bundle, status, reason
):
    done = cluster.deploy(profile, "--candidate", "--bundle", bundles[bundle])
    assert (done.returncode, reason in done.stderr) == (status, True), done.stderr
    assert model(cluster, "/candidate") is None
    assert cluster.version() == "1"
