"""What each second of `lesionserve up` goes to: when each process and each word of it was there.

The launcher and its children are only watched, from outside.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measure import Spread
from benchmarks.report import Figure, Result
from cluster.roles import role_of

WITHIN_S = 30.0
ROUNDS = 5
_GIVE_UP_S = 180.0
_LOOK_S = 0.1  # the look itself takes a few milliseconds of one core


def run() -> Result:
    _start()  # a warm disk
    rounds = [_start() for _ in range(ROUNDS)]
    ready = Spread.of([one["ready"] for one in rounds])
    marks = [name for name in rounds[0] if all(name in one for one in rounds)]
    timeline = {name: Spread.of([one[name] for one in rounds]) for name in marks}
    for name, spread in sorted(timeline.items(), key=lambda item: item[1].median):
        print(f"startup: {spread.median:6.2f} s  {name}", file=sys.stderr)
    figure = Figure(
        "8 start: lesionserve up, warm disk",
        f"ready in at most {WITHIN_S:.0f} s",
        f"{ready} s over {ROUNDS} starts",
        ready.high <= WITHIN_S,
    )
    return Result("startup", [figure], {"rounds": rounds})


def _start() -> dict[str, float]:
    """Seconds from the command to each mark of one start."""
    folder = Path(tempfile.mkdtemp(prefix="up-", dir="/tmp"))
    output = folder / "output"
    with output.open("wb") as file:
        began = time.monotonic()
        launcher = subprocess.Popen(
            [sys.executable, "-m", "cluster.cli", "up", "--data", str(folder / "data")],
            env={**os.environ, "TMPDIR": str(folder), "COLUMNS": "200"},
            stdout=file,
            stderr=file,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
    marks: dict[str, float] = {}
    try:
        while "ready" not in marks:
            now = time.monotonic() - began
            if now > _GIVE_UP_S or launcher.poll() is not None:
                raise RuntimeError(f"it did not start: {output.read_text(errors='replace')}")
            for name in _seen(launcher.pid, folder):
                marks.setdefault(name, round(now, 2))
            time.sleep(_LOOK_S)
    finally:
        launcher.send_signal(signal.SIGINT)
        launcher.wait(60)
        shutil.rmtree(folder)
    return marks


def _seen(launcher: int, folder: Path) -> list[str]:
    """What there is by now: processes by their roles, and what was said."""
    names = []
    for process in psutil.Process(launcher).children(recursive=True):
        names += _names(process)
    texts = [folder / "output", *folder.glob("data/logs/*/*.log")]
    said = "\n".join(text.read_text(errors="replace") for text in texts if text.exists())
    words: dict[str, Any] = {
        "the driver accepts profile and bundle": "ACCEPTED",
        "the graph is ready, golden cases reproduced": "READY\n",
        "the gateway answers": "Application startup complete",
        "ready": "curl",
    }
    return names + [name for name, word in words.items() if word in said]


def _names(process: psutil.Process) -> list[str]:
    try:
        title = " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return []
    if "gateway.manage" in title:
        return [f"begins: gateway.manage {title.partition('gateway.manage ')[2].split()[0]}"]
    role = role_of(title)
    return [] if role is None else [f"begins: {role.name}"]


if __name__ == "__main__":
    print(run().figures)
