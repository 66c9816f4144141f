"""Start `lesionserve up` as a user does, to watch it from outside."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cluster.launcher.ready_file import Ready

_STOP_WITHIN_S = 60
_POLL_S = 0.2


@dataclass(frozen=True, slots=True)
class Launched:
    """A running `lesionserve up`, which may not be ready yet.

    folder: holds all that it writes: `data`, temporary files, its output, the ready file.
    """

    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text(errors="replace")

    @property
    def ready(self) -> Ready | None:
        """Return where it serves; None before it does."""
        try:
            return Ready.model_validate_json((self.folder / "ready.json").read_bytes())
        except FileNotFoundError:
            return None

    def await_ready(self, within_s: float) -> Ready:
        """Return where it serves, once it does. Raise RuntimeError where the start fails."""
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline and self.process.poll() is None:
            if (ready := self.ready) is not None:
                return ready
            time.sleep(_POLL_S)
        raise RuntimeError(f"it did not start: {self.output}")


@contextmanager
def launched(*options: str, **environment: str) -> Iterator[Launched]:
    """Start it, and yield before it is ready. Interrupt it at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="up-", dir="/tmp"))
    command = [sys.executable, "-m", "cluster.cli", "up", "--data", str(folder / "data")]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [*command, "--ready-file", str(folder / "ready.json"), *options],
            env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200", **environment},
            stdout=output,
            stderr=output,
            # Where a shell runs this in the background, SIGINT is ignored, and that is inherited.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    try:
        yield Launched(process, folder)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_STOP_WITHIN_S)
        shutil.rmtree(folder)
