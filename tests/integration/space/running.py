"""A Space on this machine: the assembled folder, run as the hub runs its container.

User 1000, 64 MB of /dev/shm, code and libraries read-only, and the environment that the hub gives.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from cluster.launcher.ports import choose_ports
from cluster.launcher.ready_file import Ready
from tests.integration.space.hub import SPACE_HOST
from tests.waiting import until

UID = 1000
_START_WITHIN_S, _STOP_WITHIN_S = 300, 60

CODE = "/mnt/code"

# In a mount namespace of its own. $1: the code; $2: the folder of this run; $3 and $4: the
# environment with Python and Python itself, which may be below a home that is closed to others.
_SETUP = f"""
set -eu
code=$1 run=$2
mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir {CODE} /mnt/3 /mnt/4
mount --bind "$code" {CODE}
mount --bind "$3" /mnt/3
mount --bind "$4" /mnt/4
mount -t tmpfs -o mode=755 tmpfs /root
mkdir -p "$3" "$4"
mount --bind /mnt/3 "$3"
mount --bind /mnt/4 "$4"
for folder in {CODE} "$3" "$4"; do mount -o remount,bind,ro "$folder"; done
chown {UID}:{UID} "$run"
cd "$run"
shift 4
exec setpriv --reuid {UID} --regid {UID} --clear-groups --no-new-privs "$@"
"""


@dataclass(frozen=True)
class Space:
    """A Space that is ready."""

    url: str
    key: str
    process: psutil.Process
    folder: Path
    output: Path

    def processes(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]

    def inside(self, script: str) -> subprocess.CompletedProcess[str]:
        """Run a shell script as its user, with its file systems."""
        command = ["nsenter", "--target", str(self.process.pid), "--mount", "setpriv"]
        command += ["--reuid", str(UID), "--regid", str(UID), "--clear-groups", "sh", "-c", script]
        return subprocess.run(command, capture_output=True, text=True)

    def stop(self) -> int | None:
        """End it as the hub does, and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(_STOP_WITHIN_S)


def require_programs() -> None:
    """Skip the test where a container's limits cannot be set."""
    if os.geteuid() != 0:
        pytest.skip("only root can take the place of the container")
    for program in ("unshare", "nsenter", "setpriv"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed (Debian: util-linux)")


@contextmanager
def running_space(code: Path, **variables: str) -> Iterator[Space]:
    """Run the assembled folder `code` until the end of the block."""
    require_programs()
    run = Path(tempfile.mkdtemp(prefix="space-", dir="/tmp"))  # short: it holds sockets
    (port,) = choose_ports([None])
    environment = {
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "HOME": str(run),
        "TMPDIR": str(run),
        "PYTHONPATH": CODE,
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "2",
        "OPENBLAS_NUM_THREADS": "2",
        "SPACE_ID": "lab/demo",
        "SPACE_HOST": SPACE_HOST,
        **variables,
    }
    command = ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SETUP, "sh"]
    command += [str(code), str(run), sys.prefix, sys.base_prefix]
    command += [sys.executable, "-m", "cluster.cli", "up", "--public-demo"]
    command += ["--port", str(port), "--ready-file", str(run / "ready.json")]
    output = run.with_name(f"{run.name}.log")
    with output.open("wb") as log:
        child = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until(lambda: (run / "ready.json").exists() or child.poll() is not None, _START_WITHIN_S)
        assert child.poll() is None, output.read_text()
        ready = Ready.model_validate_json((run / "ready.json").read_bytes())
        yield Space(ready.url, ready.key, psutil.Process(child.pid), run, output)
    finally:
        if child.poll() is None:
            child.terminate()
            child.wait(_STOP_WITHIN_S)
        shutil.rmtree(run)
        output.unlink()
