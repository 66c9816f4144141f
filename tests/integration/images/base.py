"""The base of images in tests: Debian's packages by debootstrap, since no registry is asked.

It stands for python:3.11-slim-bookworm: the same release of Debian, with Debian's own Python.
"""

import subprocess
import tempfile
from pathlib import Path

from tests.integration.images.engine import exists, podman, run

BASE = "localhost/lesionserve-base:1"
PACKAGES = "python3,python3-venv,ca-certificates"
MIRROR = "http://deb.debian.org/debian"
# python:3.11-slim has neither; of Debian's packages, python3-venv needs no compiler either.
UNUSED = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
)


def base_image() -> str:
    """Return the name of the base image, which is made once and kept."""
    if not exists(BASE):
        _make()
    return BASE


def _make() -> None:
    with tempfile.TemporaryDirectory(prefix="lesionserve-base-") as folder:
        root, archive = Path(folder) / "root", Path(folder) / "base.tar"
        run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm", root, MIRROR)
        for name in UNUSED:
            subprocess.run(["rm", "-rf", str(root / name)], check=True)
        # What an installation of packages needs again.
        (root / "var/lib/apt/lists/partial").mkdir(parents=True)
        (root / "var/cache/apt/archives/partial").mkdir(parents=True)
        run("tar", "--numeric-owner", "-C", root, "-cf", archive, ".")
        podman("import", "--change", "CMD /bin/sh", archive, BASE)
