"""podman and buildah, with the options that containers need on a machine without systemd."""

import json
import os
import resource
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

# crun needs systemd's cgroups.
PODMAN = ("podman", "--runtime", "runc", "--log-level", "error")
PROGRAMS = ("podman", "buildah", "runc", "debootstrap")
# No core dumps. The bounds that podman itself sets may be above those of this machine.
_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
BOUNDS = (
    *("--ulimit", "core=0:0", "--ulimit", f"nofile={_FILES}:{_FILES}"),
    *("--ulimit", "nproc=4096:4096"),
)


def skip_unless_usable() -> None:
    """Skip where containers cannot be built and run."""
    if os.geteuid() != 0:
        pytest.skip("containers are built and run as root here")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: buildah podman runc debootstrap)")


def run(*command: str | Path, **options: Any) -> "subprocess.CompletedProcess[str]":
    """Run a command and return what it printed; its errors are in the failure of the test."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done


def podman(*arguments: str | Path, **options: Any) -> str:
    return run(*PODMAN, *arguments, **options).stdout.strip()


def exists(image: str) -> bool:
    return subprocess.run([*PODMAN, "image", "exists", image]).returncode == 0


def inspect(image: str) -> Any:
    (details,) = json.loads(podman("image", "inspect", image))
    return details
