"""What each second of `lesionserve up` goes to: when each process and each word of it was there.

The launcher and its children are only watched, from outside.
"""

import sys
import time
from typing import Any

import psutil

from benchmarks.launch import Launched, launched
from benchmarks.measure import Spread
from benchmarks.report import Figure, Result
from cluster.launcher.process_roles import role_of

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
    marks: dict[str, float] = {}
    began = time.monotonic()
    with launched() as service:
        while "ready" not in marks:
            now = time.monotonic() - began
            if now > _GIVE_UP_S or service.process.poll() is not None:
                raise RuntimeError(f"it did not start: {service.said}")
            for name in _seen(service):
                marks.setdefault(name, round(now, 2))
            time.sleep(_LOOK_S)
    return marks


def _seen(service: Launched) -> list[str]:
    """What there is by now: processes by their roles, and what was said."""
    names = []
    for process in psutil.Process(service.process.pid).children(recursive=True):
        names += _names(process)
    logs = service.folder.glob("data/logs/*/*.log")
    said = "\n".join([service.said, *(log.read_text(errors="replace") for log in logs)])
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
