"""The gateway is installed and runs where neither PyTorch nor Ray is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from serve_app.paths import ROOT

HEAVY = ("torch", "torchvision", "ray", "cv2", "openvino", "fastapi")
SECRET = "a secret that is good enough for nothing but tests, and long"
ENVIRONMENT = {
    "LESIONSERVE_SECRET_KEY": "0123456789abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "LESIONSERVE_SERVICE_TOKEN": SECRET,
    "LESIONSERVE_AUDIT_KEY": SECRET,
    "LESIONSERVE_UPSTREAM_URL": "https://ingress.example",
    "DATABASE_URL": "sqlite:////nonexistent/lesionserve.sqlite3",
    "LESIONSERVE_SECOND_FACTOR": "true",
    "LESIONSERVE_REQUIRE_SECOND_FACTOR": "clinician,admin,operator,auditor",
    "DJANGO_SETTINGS_MODULE": "gateway.settings",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the extra `gateway` alone."""
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    if uv is None:
        pytest.skip("uv is not installed")
    folder = tmp_path_factory.mktemp("gateway")
    subprocess.run([uv, "--quiet", "venv", "--python", sys.executable, str(folder)], check=True)
    made = folder / "bin/python"
    install = [uv, "--quiet", "pip", "install", "--python", str(made)]
    constraints = ["--constraint", str(ROOT / "constraints.txt")]
    subprocess.run([*install, *constraints, f"{ROOT}[gateway]"], check=True)
    return made


def run(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(python), *arguments],
        # Elsewhere, so that nothing is imported from the source tree.
        cwd=python.parent,
        env={**ENVIRONMENT, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_gateway_install_has_neither_torch_nor_ray(python: Path):
    installed = f"[n for n in {HEAVY} if importlib.util.find_spec(n)]"
    done = run(python, "-c", f"import importlib.util, gateway.asgi; print({installed})")
    assert done.stdout == "[]\n", done.stderr


def test_deployment_with_secrets_passes_checks(python: Path):
    done = run(python, "-m", "django", "check", "--deploy", "--fail-level", "WARNING")
    assert done.returncode == 0, done.stderr
    assert "The database is " in done.stderr


def test_verify_command_names_missing_extra(python: Path):
    done = run(python, "-m", "cluster.cli", "verify")
    assert done.returncode == 1
    assert "lesionserve[serve]" in done.stderr
