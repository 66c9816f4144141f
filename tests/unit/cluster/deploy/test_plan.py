import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster.deploy.checks import check_classes, check_takeover, check_unchanged
from cluster.deploy.errors import Exit
from cluster.deploy.plan import read_plan
from cluster.deploy.serve_client import Application, Deployment, ServeClient, ServeDetails
from cluster.errors import StackError
from serve_app.paths import ROOT

PROFILES = sorted((ROOT / "configs/serve").glob("*.yaml"))
LOCAL = ROOT / "configs/serve/local.yaml"
DEMO = ROOT / "weights/demo"


def exit_status(error: pytest.ExceptionInfo[StackError]) -> int:
    assert len(str(error.value)) < 1000
    return error.value.exit_status


def write_profile(folder: Path, **sizes: Any) -> Path:
    document = yaml.safe_load(LOCAL.read_text())
    document["applications"][0]["args"]["graph"]["ingress"] |= sizes
    path = folder / "profile.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_each_shipped_profile_rolls_with_surge(path):
    plan = read_plan(path, DEMO, stop_first=False)
    ServeDeploySchema.model_validate(dict(plan.document))
    sizes = plan.args.sizes.items()
    assert {name for name, size in sizes if size.max_surge_percent == 0} == set()


def test_plan_names_bundle_by_real_path_and_digest(tmp_path):
    link = tmp_path / "current"
    link.symlink_to(DEMO)
    plan = read_plan(LOCAL, link, stop_first=False)
    assert plan.app_args["model"]["bundle"] == str(DEMO)
    assert plan.app_args["model"]["bundle_sha256"] == plan.manifest.digest


def test_plan_refuses_damaged_bundle(tmp_path):
    shutil.copytree(DEMO, tmp_path / "bundle")
    (tmp_path / "bundle/model.pth").write_bytes(b"")
    with pytest.raises(StackError, match="is damaged") as caught:
        read_plan(LOCAL, tmp_path / "bundle", stop_first=False)
    assert exit_status(caught) == Exit.REFUSED


def test_plan_refuses_precision_that_bundle_does_not_choose(tmp_path):
    document = yaml.safe_load(LOCAL.read_text())
    document["applications"][0]["args"]["model"]["precision"] = "auto"
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(StackError, match="precision 'auto' needs a choice") as caught:
        read_plan(path, DEMO, stop_first=False)
    assert exit_status(caught) == Exit.REFUSED


def test_plan_refuses_wrong_profile(tmp_path):
    path = write_profile(tmp_path, num_cpu=1)
    with pytest.raises(StackError, match=r"ingress\.num_cpu: Extra inputs") as caught:
        read_plan(path, DEMO, stop_first=False)
    assert exit_status(caught) == Exit.MISUSE


def test_profile_without_surge_needs_stop_first(tmp_path):
    path = write_profile(tmp_path, max_surge_percent=0)
    with pytest.raises(StackError, match="--stop-first") as caught:
        read_plan(path, DEMO, stop_first=False)
    assert exit_status(caught) == Exit.MISUSE
    assert read_plan(path, DEMO, stop_first=True).args.model_size.max_surge_percent == 0


CONFIG = {"import_path": "serve_app.app:build_app"}


def application(**changes: Any) -> Application:
    known = {"status": "RUNNING", "message": "", "config": CONFIG, "deployments": {}}
    return Application(**known | changes)


@pytest.mark.parametrize(
    ("applications", "reason"),
    [
        ({"lesionserve": application(status="DEPLOYING")}, "is being rolled"),
        ({"lesionserve": application(config=None)}, "lesionserve up"),
        ({"lesionserve": application(config={"import_path": "a:b"})}, "another service"),
        ({"lesionserve": application(), "chat": application()}, "also serves chat"),
    ],
)
def test_takeover_of_busy_or_foreign_application_is_refused(applications, reason):
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    with pytest.raises(StackError, match=reason) as caught:
        check_takeover(plan, ServeDetails({}, applications))
    assert exit_status(caught) == Exit.REFUSED


@pytest.mark.parametrize("status", ["RUNNING", "UNHEALTHY", "DEPLOY_FAILED"])
def test_takeover_returns_replaced_application(status):
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    before = application(status=status)
    assert check_takeover(plan, ServeDetails({}, {"lesionserve": before})) is before
    assert check_takeover(plan, ServeDetails({}, {})) is None


def test_takeover_of_unfinished_deployment_needs_its_option():
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    before = application(status="DEPLOYING")
    details = ServeDetails({}, {"lesionserve": before})
    assert check_takeover(plan, details, take_over=True) is before
    with pytest.raises(StackError, match="--take-over"):
        check_takeover(plan, details)


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        ({}, "somebody else"),
        ({"lesionserve": application(config=CONFIG | {"args": {"threads": 2}})}, "somebody else"),
        ({"lesionserve": application(status="DEPLOYING")}, "is being rolled"),
        ({"lesionserve": application(), "chat": application()}, "also serves chat"),
    ],
    ids=["deleted", "deployed", "rolling", "joined"],
)
def test_change_during_checks_is_refused(now, reason):
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    with pytest.raises(StackError, match=reason) as caught:
        check_unchanged(plan, application(), ServeDetails({}, now))
    assert exit_status(caught) == Exit.REFUSED


def test_unchanged_application_is_returned_with_present_replicas():
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    now = application(deployments={"LesionService": Deployment("HEALTHY", "", {"new": "RUNNING"})})
    details = ServeDetails({}, {"lesionserve": now})
    assert check_unchanged(plan, application(), details) is now
    assert check_unchanged(plan, None, ServeDetails({}, {})) is None


class Silent(ServeClient):
    """A service that does not say what it serves."""

    def __init__(self) -> None:
        pass

    def manifest(self, application: str) -> None:
        return None


@pytest.mark.parametrize("digest", [None, "0" * 64])
def test_class_list_of_other_bundle_in_folder_is_ignored(digest):
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    args = plan.app_args | {"model": plan.app_args["model"] | {"bundle_sha256": digest}}
    before = application(config=CONFIG | {"args": args})
    with pytest.raises(StackError, match="cannot be read"):
        check_classes(plan, before, Silent(), other_classes=False)
    check_classes(
        plan, application(config=CONFIG | {"args": plan.app_args}), Silent(), other_classes=False
    )


def test_digest_in_profile_applies_only_to_its_bundle(tmp_path):
    document = yaml.safe_load(LOCAL.read_text())
    document["applications"][0]["args"]["model"]["bundle_sha256"] = "0" * 64
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump(document))
    with pytest.raises(StackError, match="000000000000 was deployed") as caught:
        read_plan(path, None, stop_first=False)
    assert exit_status(caught) == Exit.REFUSED
    plan = read_plan(path, DEMO, stop_first=False)
    assert plan.app_args["model"]["bundle_sha256"] == plan.manifest.digest


def test_each_plan_has_its_own_deployment_id():
    plans = [read_plan(LOCAL, DEMO, stop_first=False) for _ in range(2)]
    assert plans[0].deployment != plans[1].deployment
    assert plans[0].args.deployment == plans[0].deployment


def test_plan_names_logging_of_application_as_ray_does(tmp_path):
    document = yaml.safe_load(LOCAL.read_text())
    document["logging_config"] = {"encoding": "JSON", "log_level": "DEBUG"}
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump(document))
    plan = read_plan(path, DEMO, stop_first=False)
    deployed = ServeDeploySchema.model_validate(plan.document).applications[0]
    assert deployed.logging_config is not None
    assert deployed.model_dump(mode="json", exclude_unset=True) == plan.document["applications"][0]


@pytest.mark.parametrize(
    ("status", "digest", "stop_first", "serves"),
    [
        ("RUNNING", "own", False, True),
        ("RUNNING", "own", True, False),
        ("RUNNING", "other", False, False),
        ("RUNNING", None, False, False),
        ("DEPLOY_FAILED", "own", False, False),
    ],
)
def test_plan_knows_whether_it_serves_already(status, digest, stop_first, serves):
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    again = read_plan(LOCAL, DEMO, stop_first=stop_first)
    digests = {"own": plan.manifest.digest, "other": "0" * 64}
    manifest = None if digest is None else {"digest": digests[digest]}
    deployed = application(status=status, config=plan.document["applications"][0])
    assert again.serves_already(deployed, manifest) is serves


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_http_host_replaces_that_of_profile(path):
    plan = read_plan(path, DEMO, stop_first=False, http_host="0.0.0.0")
    assert plan.profile.http_options.host == "0.0.0.0"
    former = read_plan(path, DEMO, stop_first=False).document["http_options"]
    assert plan.document["http_options"] == former | {"host": "0.0.0.0"}


def test_profile_without_http_options_takes_http_host(tmp_path):
    document = yaml.safe_load(LOCAL.read_text())
    del document["http_options"]
    path = tmp_path / "profile.yaml"
    path.write_text(yaml.safe_dump(document))
    plan = read_plan(path, DEMO, stop_first=False, http_host="0.0.0.0")
    assert plan.document["http_options"] == {"host": "0.0.0.0"}
