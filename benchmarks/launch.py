"""`lesionserve up` as a user starts it, to be watched from outside."""

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

_STOP_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Launched:
    """`folder` holds all that it writes: `data`, temporary files, and what it says."""

    process: "subprocess.Popen[bytes]"
    folder: Path

    @property
    def said(self) -> str:
        return (self.folder / "output").read_text(errors="replace")


@contextmanager
def launched() -> Iterator[Launched]:
    """Started, not yet ready. It is interrupted at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="up-", dir="/tmp"))
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "cluster.cli", "up", "--data", str(folder / "data")],
            env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"},
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
