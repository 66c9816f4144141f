"""Images of this checkout, built once for all tests of a run."""

import atexit
import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path

from serve_app.paths import ROOT
from tests.integration.images.base import base_image
from tests.integration.images.engine import PODMAN, run

VERSION = re.findall('^version = "(.*)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)[0]
# In the settings of the builder; no image may hold it.
MARK = "4c6fd3b6-a-setting-of-the-builder"
_FLAGS = "--isolation chroot --network host"


@functools.cache
def built(name: str) -> str:
    """Build an image with `make images`' command, unless this was done in this run.

    It is removed at the end of the run, and so is what it replaced.
    """
    build(name)
    image = f"localhost/lesionserve-{name}:{VERSION}"
    atexit.register(_remove, name, image)
    return image


def _remove(name: str, image: str) -> None:
    label = f"label=org.opencontainers.image.title=lesionserve-{name}"
    for command in (("rmi", "--force", image), ("image", "prune", "--force", "--filter", label)):
        subprocess.run([*PODMAN, *command], check=False, capture_output=True)


def build(name: str, flags: str = "") -> None:
    """Build with a pip.conf of the builder, and its certificate authority if it names one."""
    with tempfile.TemporaryDirectory(prefix="lesionserve-build-") as folder:
        pip_conf = Path(folder) / "pip.conf"
        lines = ["[global]", f"# {MARK}", "timeout = 180"]
        if index := os.environ.get("PIP_INDEX_URL"):
            lines.append(f"index-url = {index}")
        variables = {"BUILDER": "buildah", "BASE": base_image(), "FLAGS": f"{_FLAGS} {flags}"}
        if authority := os.environ.get("PIP_CERT"):
            lines.append("cert = /run/secrets/ca.pem")
            variables["CA_FILE"] = authority
        pip_conf.write_text("\n".join(lines) + "\n")
        variables["PIP_CONF"] = str(pip_conf)
        run(ROOT / "cluster/images/build", name, env=os.environ | variables)
