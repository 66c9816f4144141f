import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster.deploy_checks import check_takeover
from cluster.deploy_errors import Exit
from cluster.deploy_plan import read_plan
from cluster.errors import StackError
from cluster.serve_client import Application, ServeDetails
from serve_app.args import ROOT

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


def application(**changes: Any) -> Application:
    config = {"import_path": "serve_app.app:build_app"}
    known = {"status": "RUNNING", "message": "", "config": config, "deployments": {}}
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
def test_takeover_is_refused(applications, reason):
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    with pytest.raises(StackError, match=reason) as caught:
        check_takeover(plan, ServeDetails({}, applications))
    assert exit_status(caught) == Exit.REFUSED


@pytest.mark.parametrize("status", ["RUNNING", "UNHEALTHY", "DEPLOY_FAILED"])
def test_takeover_returns_what_is_replaced(status):
    plan = read_plan(LOCAL, DEMO, stop_first=False)
    before = application(status=status)
    assert check_takeover(plan, ServeDetails({}, {"lesionserve": before})) is before
    assert check_takeover(plan, ServeDetails({}, {})) is None
