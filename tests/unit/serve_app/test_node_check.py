import shutil
from pathlib import Path
from typing import Any

import pytest

from cluster.deploy.plan import read_plan
from serve_app.node_check import check_node, try_model
from serve_app.paths import ROOT

LOCAL = ROOT / "configs/serve/local.yaml"
DEMO = ROOT / "weights/demo"


@pytest.fixture
def args(tmp_path, monkeypatch) -> dict[str, Any]:
    """The args of a bundle of the node's own, which a test may damage."""
    monkeypatch.setenv("LESIONSERVE_SERVICE_TOKENS", "t" * 32)
    folder = Path(shutil.copytree(DEMO, tmp_path / "bundle"))
    return read_plan(LOCAL, folder, stop_first=False).app_args


def test_node_with_token_and_bundle_has_no_problem(args):
    assert check_node(args).problem is None


def test_node_without_service_token_is_refused(args, monkeypatch):
    monkeypatch.delenv("LESIONSERVE_SERVICE_TOKENS")
    assert "in the environment of `ray start`" in check_node(args).problem


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: shutil.rmtree(folder), "no bundle: cannot read"),
        (lambda folder: (folder / "model.pth").write_bytes(b"x"), "model.pth is damaged"),
        (lambda folder: (folder / "model.pth").unlink(), "lacks model.pth"),
    ],
    ids=["folder removed", "file damaged", "file removed"],
)
def test_node_with_damaged_bundle_is_refused(args, damage, reason):
    folder = Path(args["model"]["bundle"])
    damage(folder)
    problem = check_node(args).problem
    assert problem.startswith(str(folder))
    assert reason in problem


def test_node_with_another_bundle_is_refused(args):
    args["model"]["bundle_sha256"] = "0" * 64
    assert "000000000000 was deployed" in check_node(args).problem


def test_node_of_another_version_is_refused(args):
    args["model"]["setting_of_tomorrow"] = 1
    assert check_node(args).problem.startswith("another version of lesionserve")


def test_trial_names_precision_in_which_model_runs(args):
    args["model"]["precision"] = "bfloat16"
    assert try_model(args).precision == "bfloat16"


def test_trial_refuses_bundle_without_choice(args):
    args["model"]["precision"] = "auto"
    assert "precision 'auto' needs a choice" in try_model(args).problem


def test_trial_names_missing_device(args):
    args["model"]["device"] = "cuda"
    assert try_model(args).problem.startswith("EngineUnavailable: device 'cuda'")
