"""Measure what each second of `lesionserve up` goes to, by its processes and their states.

The launcher and its children are only watched, from outside.
"""

import sys
import time

import psutil

from benchmarks.launch import Launched, launched
from benchmarks.measure import Spread
from benchmarks.report import Figure, Result
from cluster.launcher.process_roles import GATEWAY, role_of
from serve_app.driver_state import DriverReport, DriverState

WITHIN_S = 30.0
ROUNDS = 5
_GIVE_UP_S = 180.0
_LOOK_S = 0.1  # the look itself takes a few milliseconds of one core
_MARKS = {
    DriverState.ACCEPTED: "the driver accepts profile and bundle",
    DriverState.READY: "the graph is ready, golden cases reproduced",
}


def run() -> Result:
    _start()  # a warm disk
    rounds = [_start() for _ in range(ROUNDS)]
    ready = Spread.of([marks["ready"] for marks in rounds])
    names = [name for name in rounds[0] if all(name in marks for marks in rounds)]
    timeline = {name: Spread.of([marks[name] for marks in rounds]) for name in names}
    for name, spread in sorted(timeline.items(), key=lambda item: item[1].median):
        print(f"startup: {spread.median:6.2f} s  {name}", file=sys.stderr)
    figure = Figure(
        "start: lesionserve up, warm disk",
        f"ready in at most {WITHIN_S:.0f} s",
        f"{ready} s over {ROUNDS} starts",
        ready.high <= WITHIN_S,
    )
    return Result("startup", [figure], {"rounds": rounds})


def _start() -> dict[str, float]:
    """Return the seconds from the command to each mark of one start."""
    marks: dict[str, float] = {}
    began = time.monotonic()
    with launched() as service:
        while "ready" not in marks:
            now = time.monotonic() - began
            if now > _GIVE_UP_S or service.process.poll() is not None:
                raise RuntimeError(f"it did not start: {service.output}")
            for name in _reached(service):
                marks.setdefault(name, round(now, 2))
            time.sleep(_LOOK_S)
    return marks


def _reached(service: Launched) -> list[str]:
    """Return the marks that are reached by now: processes by their roles, and reported states."""
    names = []
    for process in psutil.Process(service.process.pid).children(recursive=True):
        names += _names(process)
    for log in service.folder.glob("data/logs/*/serve.log"):
        reports = DriverReport.read_all(log.read_text(errors="replace"))
        names += [_MARKS[report.state] for report in reports if report.state in _MARKS]
    return names + (["ready"] if service.ready is not None else [])


def _names(process: psutil.Process) -> list[str]:
    try:
        title = " ".join(process.cmdline())
        role = role_of(title)
        # Its server listens once the application has started.
        answers = role == GATEWAY and any(
            connection.status == psutil.CONN_LISTEN for connection in process.net_connections()
        )
    except psutil.NoSuchProcess:
        return []
    if "gateway.manage" in title:
        return [f"begins: gateway.manage {title.partition('gateway.manage ')[2].split()[0]}"]
    names = [] if role is None else [f"begins: {role.name}"]
    return names + (["the gateway answers"] if answers else [])


if __name__ == "__main__":
    print(run().figures)
