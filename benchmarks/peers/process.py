import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from serve_app.paths import ROOT

_START_WITHIN_S = 120.0
_STOP_WITHIN_S = 15.0


class PeerFailed(Exception):
    """A peer did not start."""


@contextmanager
def server(
    command: Sequence[str], environment: Mapping[str, str], ready: str, log: Path
) -> Iterator[None]:
    """Run a server with its children until the block ends; begin when `ready` answers 200.

    Raise PeerFailed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(environment),
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait(process, ready, log)
        yield
    finally:
        _stop(process)


def output(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what a command prints, without the spaces around it."""
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=_environment(environment),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), **more}


def _wait(process: subprocess.Popen[bytes], ready: str, log: Path) -> None:
    deadline = time.monotonic() + _START_WITHIN_S
    while not _answers(ready):
        if process.poll() is not None or time.monotonic() > deadline:
            raise PeerFailed(f"{process.args!r} did not start; its output is in {log}")
        time.sleep(0.25)


def _answers(url: str) -> bool:
    try:
        return httpx.get(url, timeout=5).status_code == 200
    except httpx.TransportError:
        return False


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the server to stop, then end what is left of its process group."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_WITHIN_S)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
