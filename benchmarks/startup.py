"""Measure what each second of `lesionserve up` goes to, by its stages and its processes.

The launcher and its children are only watched, from outside.
"""

import re
import sys
import time
from dataclasses import asdict, dataclass, field
from statistics import median

import psutil

from benchmarks.launch import Launched, launched
from benchmarks.measure import Spread
from benchmarks.report import Figure, Result
from cluster.launcher.process_roles import role_of

WITHIN_S = 12.0
ROUNDS = 5
_GIVE_UP_S = 180.0
_LOOK_S = 0.1  # the look itself takes a few milliseconds of one core
_STAGE = re.compile(r" *\d+ s  (.+)")  # a line of cluster.launcher.stages
# By a part of the command line, the processes that have no role of their own in the stack.
_NAMES = {
    "-m cluster.cli": "the launcher",
    "gateway.manage": "the gateway's commands",
    "decoder_process": "a decoder",
    "default_worker.py": "a worker of Ray",
    "ray::IDLE": "a worker of Ray",
}


@dataclass
class ProcessUse:
    """One process of a start. `name` is that of its last role: Ray's workers change theirs.

    cpu_s, memory_mib: at the last look at it, which is the readiness unless it ended before.
    """

    begins_s: float
    ends_s: float = 0
    name: str = ""
    cpu_s: float = 0
    memory_mib: float = 0


@dataclass
class Start:
    """The seconds from the command to each stage, and to readiness; and the processes by pid."""

    stages: dict[str, float] = field(default_factory=dict)
    processes: dict[int, ProcessUse] = field(default_factory=dict)
    ready_s: float = 0

    @property
    def cpu_s(self) -> float:
        return sum(process.cpu_s for process in self.processes.values())


def run() -> Result:
    _watch_start()  # a warm disk
    starts = [_watch_start() for _ in range(ROUNDS)]
    _print_stages(starts)
    _print_processes(starts)
    ready = Spread.of([start.ready_s for start in starts])
    figure = Figure(
        "start: lesionserve up, warm disk",
        f"ready in at most {WITHIN_S:.0f} s",
        f"{ready} s over {ROUNDS} starts, "
        f"{median(start.cpu_s for start in starts):.1f} s of a core",
        ready.high <= WITHIN_S,
    )
    return Result("startup", [figure], {"rounds": [asdict(start) for start in starts]})


def _watch_start() -> Start:
    start = Start()
    began = time.monotonic()
    with launched() as service:
        launcher = psutil.Process(service.process.pid)
        while service.ready is None:
            now = time.monotonic() - began
            if now > _GIVE_UP_S or service.process.poll() is not None:
                raise RuntimeError(f"it did not start: {service.output}")
            for stage in _stages(service):
                start.stages.setdefault(stage, round(now, 2))
            for process in [launcher, *launcher.children(recursive=True)]:
                _look_at(process, start.processes, round(now, 2))
            time.sleep(_LOOK_S)
        start.ready_s = round(time.monotonic() - began, 2)
    return start


def _stages(service: Launched) -> list[str]:
    matches = map(_STAGE.fullmatch, service.output.splitlines())
    return [match[1] for match in matches if match is not None]


def _look_at(process: psutil.Process, processes: dict[int, ProcessUse], now: float) -> None:
    try:
        with process.oneshot():
            title = " ".join(process.cmdline())
            times = process.cpu_times()
            memory = process.memory_info().rss
    except psutil.NoSuchProcess:
        return
    use = processes.setdefault(process.pid, ProcessUse(now))
    use.ends_s = now
    use.name = _name(title) or use.name
    use.cpu_s = round(times.user + times.system, 2)
    use.memory_mib = max(use.memory_mib, round(memory / 2**20))


def _name(title: str) -> str:
    """Return the role that a command line shows; nothing for that of a process that has ended."""
    name = next((name for mark, name in _NAMES.items() if mark in title), None)
    if name is not None:
        return name
    role = role_of(title)
    return title[:60] if role is None else role.name


def _print_stages(starts: list[Start]) -> None:
    for stage in starts[0].stages:
        begins = Spread.of([start.stages[stage] for start in starts if stage in start.stages])
        print(f"startup: {begins.median:6.2f} s  {stage}", file=sys.stderr)


def _print_processes(starts: list[Start]) -> None:
    """Print a line for each kind of process, with the medians over the starts."""
    print("startup: begins  until   core-s     MiB", file=sys.stderr)
    names = dict.fromkeys(use.name for start in starts for use in start.processes.values())
    lines = []
    for name in names:
        uses = [[u for u in start.processes.values() if u.name == name] for start in starts]
        uses = [of_start for of_start in uses if of_start]
        begins, until, cpu_s, memory = (
            median(min(use.begins_s for use in of_start) for of_start in uses),
            median(max(use.ends_s for use in of_start) for of_start in uses),
            median(sum(use.cpu_s for use in of_start) for of_start in uses),
            median(sum(use.memory_mib for use in of_start) for of_start in uses),
        )
        lines.append((begins, f"{begins:6.1f} {until:6.1f} {cpu_s:8.2f} {memory:7.0f}  {name}"))
    for _, line in sorted(lines):
        print(f"startup: {line}", file=sys.stderr)


if __name__ == "__main__":
    print(run().figures)
