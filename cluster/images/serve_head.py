"""The command of the serving images: start Ray's head, deploy on it, and stay until it ends.

Ray forgets what it served when its head ends, so that a container which starts again has to deploy
again. A new version is rolled in by `lesionserve deploy` in the running container.

  LESIONSERVE_PROFILE    the profile, such as configs/serve/local.yaml
  LESIONSERVE_BUNDLE     the bundle, such as /models/current; if empty, the profile's
  LESIONSERVE_HTTP_HOST  where Serve's proxy listens; read by `lesionserve deploy` itself

It exits with the code of `lesionserve deploy` where that fails, except that a deployment which a
check refused (3) is tried again every 30 seconds; with 1 where Ray ends by itself; with 0 after
SIGTERM or SIGINT.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from cluster.images.healthy import failure

DASHBOARD_HEALTH = "http://127.0.0.1:8265/api/gcs_healthz"
RETRY_AFTER_S = 30.0
_REFUSED = 3  # cluster.deploy.errors.Exit, which needs Ray
_POLL_S = 0.5
_STOP_WITHIN_S = 50.0
_LARGEST_OBJECT_STORE = 2_000_000_000
_SHARED_MEMORY = Path("/dev/shm")  # nosec B108 - its size, no file in it


class ServeHead:
    """Ray's head, and the deployment on it, as children of this process."""

    def __init__(self, head: list[str], deploy: list[str], is_up: Callable[[], bool]) -> None:
        """Take the two commands. is_up: whether the head can be deployed on."""
        self._head_command, self._deploy_command, self._is_up = head, deploy, is_up
        self._stopping = False

    def stop(self, *_: object) -> None:
        """Let `run` end everything; a handler of signals."""
        self._stopping = True

    def run(self) -> int:
        """Return the exit status."""
        head = subprocess.Popen(self._head_command)
        try:
            while self._goes_on(head) and not self._is_up():
                time.sleep(_POLL_S)
            status = self._deploy(head)
            while status == 0 and self._goes_on(head):
                time.sleep(_POLL_S)
        finally:
            has_ended = head.poll() is not None
            _end(head)
        if self._stopping:
            return 0
        if has_ended:
            say(f"Ray has ended with exit code {head.returncode}")
            return 1
        return status

    def _deploy(self, head: "subprocess.Popen[bytes]") -> int:
        """Return the exit status of the last attempt; 0 where there was none."""
        status = 0
        while self._goes_on(head):
            deploy = subprocess.Popen(self._deploy_command)
            try:
                while self._goes_on(head) and deploy.poll() is None:
                    time.sleep(_POLL_S)
            finally:
                _end(deploy)
            status = deploy.returncode
            if status != _REFUSED:
                break
            say(f"the deployment was refused; the next attempt is in {RETRY_AFTER_S:.0f} s")
            again_at = time.monotonic() + RETRY_AFTER_S
            while self._goes_on(head) and time.monotonic() < again_at:
                time.sleep(_POLL_S)
        return status

    def _goes_on(self, head: "subprocess.Popen[bytes]") -> bool:
        return not self._stopping and head.poll() is None


def say(line: str) -> None:
    print(f"serve_head: {line}", file=sys.stderr, flush=True)


def head_command(shared_memory_bytes: int) -> list[str]:
    """Return the command of Ray's head.

    Images that do not fit into the object store go to a folder below /tmp, which is in memory.
    """
    store = min(_LARGEST_OBJECT_STORE, shared_memory_bytes * 4 // 5)
    return [
        *("ray", "start", "--head", "--block", "--port=6380", "--metrics-export-port=8090"),
        *("--temp-dir=/tmp/ray", "--plasma-directory=/dev/shm", "--disable-usage-stats"),
        f"--object-store-memory={store}",
    ]


def deploy_command(environment: Mapping[str, str]) -> list[str]:
    """Return the command that deploys what the variables name."""
    command = ["lesionserve", "deploy", environment["LESIONSERVE_PROFILE"]]
    if bundle := environment.get("LESIONSERVE_BUNDLE"):
        command += ["--bundle", bundle]
    return command


def main() -> int:
    if not os.environ.get("LESIONSERVE_PROFILE"):
        say("LESIONSERVE_PROFILE: name a profile, such as configs/serve/local.yaml")
        return 2
    head = ServeHead(
        head_command(shutil.disk_usage(_SHARED_MEMORY).total),
        deploy_command(os.environ),
        lambda: failure(DASHBOARD_HEALTH) is None,
    )
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, head.stop)
    return head.run()


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()  # does nothing to a process that has ended
    try:
        process.wait(_STOP_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
