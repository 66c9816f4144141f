"""The file of Ray's cluster launcher, read by Ray's own code."""

import re
import shlex
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.scripts.scripts import start

from serve_app.config import load_profile
from serve_app.paths import ROOT
from tests.unit.cluster.systemd.units import read_units

FILE = ROOT / "cluster/ray/cluster.yaml"
TEXT = FILE.read_text(encoding="utf-8")


def local() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(TEXT)
    return config


def cloud() -> dict[str, Any]:
    """Return the file with the commented cloud in the place of one's own machines."""
    comment = TEXT.partition("\n# provider:")
    lines = f"# provider:{comment[2]}".splitlines()
    return local() | yaml.safe_load("\n".join(line.removeprefix("# ") for line in lines))


CONFIGS = pytest.mark.parametrize("config", [local(), cloud()], ids=["local", "cloud"])


def prepared(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration as `ray up` prepares it. Raise where it is refused."""
    ready: dict[str, Any] = prepare_config(config)
    validate_config(ready)
    return ready


def ray_start(commands: list[str]) -> dict[str, Any]:
    (line,) = [command for command in commands if "ray start" in command]
    words = shlex.split(line.partition("ray start ")[2])
    parameters: dict[str, Any] = start.make_context("start", words).params
    return parameters


@CONFIGS
def test_ray_accepts_file(config):
    ready = prepared(config)
    assert ready["cluster_name"] == "lesionserve"


@CONFIGS
def test_ray_refuses_misspelt_key(config):
    with pytest.raises(jsonschema.ValidationError, match="head_setup_command"):
        prepared(config | {"head_setup_command": []})


def test_all_own_machines_join():
    ready = prepared(local())
    (node_type,) = ready["available_node_types"].values()
    assert node_type["min_workers"] == len(local()["provider"]["worker_ips"])


def test_cloud_grows_to_what_profile_needs():
    types = prepared(cloud())["available_node_types"]
    predictor = load_profile(ROOT / "configs/serve/cluster.yaml").application.args.model_size

    assert types["gpu"]["max_workers"] == predictor.most_replicas + 1
    assert types["head"]["resources"] == {"CPU": 0}
    workers = sum(types[name]["max_workers"] for name in ("cpu", "gpu"))
    assert prepared(cloud())["max_workers"] == workers


def test_nodes_start_with_options_of_systemd_units():
    head = ray_start(local()["head_start_ray_commands"])
    worker = ray_start(local()["worker_start_ray_commands"])
    unit = read_units()["lesionserve-ray-head.service"]
    (command,) = [line for line in unit.commands if "ray start" in line]

    assert (head["head"], head["port"]) == (True, 6380)
    assert (worker["head"], worker["address"]) == (False, "$RAY_HEAD_IP:6380")
    for parameters in (head, worker):
        assert parameters["plasma_directory"] == "/dev/shm"
        assert parameters["object_spilling_directory"].startswith("/dev/shm/")
        for option in ("metrics-export-port", "object-store-memory"):
            value = parameters[option.replace("-", "_")]
            assert f"--{option}={value}" in command


def test_tokens_are_set_before_ray_and_in_no_file_of_git():
    mounts = local()["file_mounts"]
    source = mounts["/opt/lesionserve/serve.env"]

    for name in ("head_start_ray_commands", "worker_start_ray_commands"):
        (line,) = [command for command in local()[name] if "ray start" in command]
        assert line.index("serve.env") < line.index("ray start")
    assert f"/{Path(source).parts[0]}/" in (ROOT / ".gitignore").read_text().splitlines()
    assert "out" in local()["rsync_exclude"]
    assert not re.search(r"(TOKEN|KEY)S?=", TEXT)
