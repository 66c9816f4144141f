"""What `python -m cluster.kubernetes` writes, from profiles and rules."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ray.serve.schema import ServeDeploySchema

from cluster.deploy.errors import Exit
from cluster.errors import StackError
from cluster.kubernetes.__main__ import PROFILES, RULES_FILE, written_files
from cluster.kubernetes.serve_config import candidate_config, pinned_config, profile_config
from serve_app.config import parse_profile
from serve_app.paths import ROOT

CLUSTER = ROOT / "configs/serve/cluster.yaml"
DEMO = ROOT / "weights/demo"
MOUNTED = Path("/models/cervix-1")


@pytest.mark.parametrize("path", [*PROFILES, RULES_FILE], ids=lambda path: path.parent.name)
def test_committed_file_is_what_is_written(path):
    assert path.read_text(encoding="utf-8") == written_files()[path]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.stem)
def test_serve_config_is_profile_with_tls(profile):
    document = yaml.safe_load(profile_config(profile))
    options = document["http_options"]

    assert options.pop("ssl_certfile").endswith("tls.crt")
    assert options.pop("ssl_keyfile").endswith("tls.key")
    graph = document["applications"][0]["args"]["graph"]
    for stage in graph.values():
        if isinstance(stage, dict):
            stage.pop("label_selector", None)
    assert document == yaml.safe_load(profile.read_text())


def test_stages_without_gpu_leave_gpu_workers_to_predictor():
    for profile, selecting in ((CLUSTER, 3), (CLUSTER.with_name("cluster-cpu.yaml"), 0)):
        graph = yaml.safe_load(profile_config(profile))["applications"][0]["args"]["graph"]
        sizes = [stage for stage in graph.values() if isinstance(stage, dict)]
        assert sum("label_selector" in size for size in sizes) == selecting
        assert "label_selector" not in graph.get("predictor", {})


def test_pinned_config_names_digest_and_path_of_pods():
    text, model = pinned_config(CLUSTER, DEMO, MOUNTED)
    document = yaml.safe_load(text)
    args = parse_profile(CLUSTER, document).application.args

    ServeDeploySchema.model_validate(document)
    assert args.model.bundle == MOUNTED
    assert args.model.bundle_sha256 is not None
    assert args.model.bundle_sha256[:12] in model
    assert args.deployment is not None


def test_pinned_config_is_new_deployment_each_time():
    texts = {pinned_config(CLUSTER, DEMO, MOUNTED)[0] for _ in range(2)}
    assert len(texts) == 2


def test_pinned_config_refuses_damaged_bundle(tmp_path):
    shutil.copytree(DEMO, tmp_path / "bundle")
    (tmp_path / "bundle/model.pth").write_bytes(b"")
    with pytest.raises(StackError, match="is damaged") as caught:
        pinned_config(CLUSTER, tmp_path / "bundle", MOUNTED)
    assert caught.value.exit_status == Exit.REFUSED


@pytest.fixture
def serving(tmp_path) -> Path:
    """Return the written configuration of a bundle that serves."""
    path = tmp_path / "serve.yaml"
    path.write_text(pinned_config(CLUSTER, DEMO, MOUNTED)[0])
    return path


def test_candidate_runs_beside_application_that_stays_as_it_is(serving):
    text, manifest = candidate_config(serving, DEMO, Path("/models/cervix-2"))
    document, before = yaml.safe_load(text), yaml.safe_load(serving.read_text())
    stable, candidate = document.pop("applications")

    ServeDeploySchema.model_validate(yaml.safe_load(text))
    assert [stable] == before.pop("applications")
    assert document == before
    assert (candidate["name"], candidate["route_prefix"]) == ("candidate", "/candidate")
    assert candidate["args"]["model"]["bundle"] == "/models/cervix-2"
    assert candidate["args"]["model"]["bundle_sha256"] == manifest.digest
    selectors = [
        stage.get("label_selector")
        for stage in stable["args"]["graph"].values()
        if isinstance(stage, dict)
    ]
    assert selectors == [
        stage.get("label_selector")
        for stage in candidate["args"]["graph"].values()
        if isinstance(stage, dict)
    ]


def test_second_candidate_is_refused(serving):
    serving.write_text(candidate_config(serving, DEMO, Path("/models/cervix-2"))[0])
    with pytest.raises(StackError) as caught:
        candidate_config(serving, DEMO, Path("/models/cervix-3"))
    assert caught.value.exit_status == Exit.MISUSE


def test_candidate_command_prints_both_applications(serving):
    done = run("candidate-config", serving, "--bundle", DEMO, "--mounted-at", "/models/cervix-2")
    assert done.returncode == 0, done.stderr
    assert len(yaml.safe_load(done.stdout)["applications"]) == 2
    assert done.stderr.startswith("candidate: ")


def test_pinned_config_refuses_relative_mount():
    with pytest.raises(StackError, match="no absolute path") as caught:
        pinned_config(CLUSTER, DEMO, Path("models/cervix-1"))
    assert caught.value.exit_status == Exit.MISUSE


def test_profile_config_refuses_wrong_profile(tmp_path):
    path = tmp_path / "profile.yaml"
    path.write_text(CLUSTER.read_text().replace("max_surge_percent: 50", "max_surge: 50"))
    with pytest.raises(StackError, match=r"predictor\.max_surge: Extra inputs"):
        profile_config(path)


def run(*arguments: object) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "cluster.kubernetes", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_command_prints_config_and_names_bundle():
    done = run("serve-config", CLUSTER, "--bundle", DEMO, "--mounted-at", MOUNTED)

    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["applications"][0]["args"]["model"]["bundle_sha256"]
    assert done.stderr.startswith("bundle: ")
    assert done.stderr.endswith("is intact\n")


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (["serve-config", CLUSTER], Exit.MISUSE, "--bundle"),
        (["serve-config", CLUSTER, "--bundle", "/nowhere", "--mounted-at", "/m"], 3, "/nowhere"),
        (["serve-confi"], Exit.MISUSE, "serve-confi"),
    ],
)
def test_command_refuses_and_says_why(arguments, status, reason):
    done = run(*arguments)

    assert (done.returncode, reason in done.stderr) == (status, True), done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
