"""A candidate beside the stable application, on a cluster that is played by a script of states."""

from typing import Any

import pytest
from ray.serve.schema import ServeDeploySchema

from cluster.deploy.checks import check_takeover, check_unchanged
from cluster.deploy.deploy import _is_promoted
from cluster.deploy.errors import Exit
from cluster.deploy.plan import Plan, read_plan
from cluster.deploy.roll import Roll
from cluster.deploy.serve_client import Application, Deployment, ServeDetails
from cluster.errors import StackError
from serve_app.paths import ROOT

LOCAL = ROOT / "configs/serve/local.yaml"
DEMO = ROOT / "weights/demo"


def stable_config(digest: str = "b" * 64) -> dict[str, Any]:
    return {
        "name": "lesionserve",
        "import_path": "serve_app.app:build_app",
        "args": {"deployment": "before", "model": {"bundle_sha256": digest}},
    }


def deployed(config: dict[str, Any] | None, status: str = "RUNNING") -> Application:
    return Application(
        status, "", config, {"LesionService": Deployment("HEALTHY", "", {"r": "RUNNING"})}
    )


STABLE = stable_config()
DETAILS = ServeDetails({}, {"lesionserve": deployed(STABLE)})


@pytest.fixture(scope="module")
def plan() -> Plan:
    return read_plan(LOCAL, DEMO, stop_first=False, candidate=True)


def test_candidate_is_deployed_beside_stable_application(plan):
    assert (plan.name, plan.is_candidate, plan.other) == ("candidate", True, "lesionserve")
    whole = plan.next_to(DETAILS).whole
    assert [application["name"] for application in whole["applications"]] == [
        "candidate",
        "lesionserve",
    ]
    assert whole["applications"][1] == STABLE
    assert plan.app_args["model"]["bundle_sha256"] == plan.manifest.digest


def test_ray_accepts_both_applications(plan):
    stable = read_plan(LOCAL, DEMO, stop_first=False)
    details = ServeDetails({}, {"lesionserve": deployed(dict(stable.document["applications"][0]))})
    ServeDeploySchema.model_validate(plan.next_to(details).whole)


def test_stable_application_keeps_candidate_beside_it(plan):
    stable = read_plan(LOCAL, DEMO, stop_first=False)
    candidate = dict(plan.document["applications"][0])
    details = ServeDetails({}, {"candidate": deployed(candidate)})
    assert stable.next_to(details).whole["applications"][1] == candidate
    assert stable.next_to(ServeDetails({}, {})).beside == ()


@pytest.mark.parametrize(
    ("applications", "reason"),
    [
        ({}, "deploy it before a candidate"),
        ({"lesionserve": deployed(STABLE, "DEPLOYING")}, "is being rolled"),
        ({"lesionserve": deployed(None)}, "lesionserve up"),
        ({"lesionserve": deployed(STABLE), "chat": deployed(STABLE)}, "also serves chat"),
    ],
    ids=["alone", "rolling", "of a script", "others"],
)
def test_candidate_needs_stable_application_of_deploy(plan, applications, reason):
    with pytest.raises(StackError, match=reason) as caught:
        check_takeover(plan, ServeDetails({}, applications))
    assert caught.value.exit_status == Exit.REFUSED


def test_other_application_that_changes_during_checks_is_refused(plan):
    beside = plan.next_to(DETAILS)
    assert check_unchanged(beside, None, DETAILS) is None
    changed = ServeDetails({}, {"lesionserve": deployed(stable_config("9" * 64))})
    with pytest.raises(StackError, match="somebody else"):
        check_unchanged(beside, None, changed)


class FailingCluster:
    """Fails to start what is put on it."""

    def __init__(self, plan: Plan) -> None:
        self.puts: list[Any] = []
        self._failed = Application(
            "DEPLOY_FAILED",
            "model.pth is damaged",
            plan.document["applications"][0],
            {},
        )

    def read(self) -> ServeDetails:
        return ServeDetails({}, {"candidate": self._failed})

    def put(self, config: Any) -> None:
        self.puts.append(config)


def test_candidate_that_fails_is_removed_again(plan):
    cluster = FailingCluster(plan)
    with pytest.raises(StackError, match="lesionserve serves as before") as caught:
        Roll(plan.next_to(DETAILS), None, cluster, 60, lambda _: None, poll_s=0).run()
    assert caught.value.exit_status == Exit.ROLLED_BACK
    assert "model.pth is damaged" in str(caught.value)
    assert cluster.puts[-1]["applications"] == [STABLE]


def test_bundle_of_candidate_that_serves_is_promoted(plan):
    stable = read_plan(LOCAL, DEMO, stop_first=False)
    same = ServeDetails({}, {"candidate": deployed(dict(plan.document["applications"][0]))})
    other = ServeDetails({}, {"candidate": deployed(stable_config())})
    assert _is_promoted(stable.next_to(same))
    assert not _is_promoted(stable.next_to(other))
    assert not _is_promoted(stable)
    assert not _is_promoted(plan.next_to(DETAILS))
