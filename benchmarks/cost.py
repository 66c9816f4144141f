"""Count what an image costs the processors, by process and by function.

A few clients send the demo's image to a running `lesionserve up`. The kernel counts the time of
each process. py-spy, where it is installed, samples in a second load, since it takes some of the
cores itself, which function runs Python (holds the interpreter's lock). The time of libraries that
compute without it, as OpenVINO's and Pillow's, is in the first count only.
"""

import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from itertools import repeat
from pathlib import Path

import psutil

from benchmarks.launch import launched
from benchmarks.load import Outcome, apply, form_request
from benchmarks.measure import Spread
from benchmarks.report import NO_TARGET, Figure, Result
from cluster.launcher.process_roles import GATEWAY, role_of
from cluster.launcher.ready_file import Ready
from cluster.paths import DEMO_IMAGE

CLIENTS = 2
IMAGES = 200  # of each round
ROUNDS = 5
START_WITHIN_S = 120.0
WANTED_MS = {GATEWAY.name: 4.0, "the Serve proxy": 4.0}
FUNCTIONS = 15  # of each process
_DECODERS = "the decoders"
_RATE = 200  # samples a second

# Milliseconds of a core for an image, by process or by function.
Costs = Mapping[str, float]


def run() -> Result:
    with launched() as stack:
        ready = stack.await_ready(START_WITHIN_S)
        _load(ready)  # a warm stack
        rounds = [_costs(ready, stack.process.pid) for _ in range(ROUNDS)]
        functions = _functions(ready, stack.process.pid)
    for process, costs in functions.items():
        print(f"cost: {process}", file=sys.stderr)
        for name, ms in costs.items():
            print(f"cost:   {ms:6.2f} ms  {name}", file=sys.stderr)
    names = sorted(rounds[0], key=lambda name: -rounds[0][name])
    figures = [_figure(name, [costs.get(name, 0.0) for costs in rounds]) for name in names]
    return Result("cost", figures, {"rounds": rounds, "functions": functions})


def _figure(name: str, ms: list[float]) -> Figure:
    spread, wanted = Spread.of(ms), WANTED_MS.get(name)
    asked = NO_TARGET if wanted is None else f"<= {wanted:g}"
    met = None if wanted is None else spread.median <= wanted
    return Figure(f"demo: {name}, ms of a core for an image", asked, str(spread), met)


def _load(ready: Ready) -> Outcome:
    request = form_request(
        f"{ready.url}/predict/", {"X-API-Key": ready.key}, DEMO_IMAGE.read_bytes()
    )
    outcome = apply(ready.url, repeat(request, IMAGES), CLIENTS)
    if len(outcome.good) != IMAGES:
        raise RuntimeError(f"not every image was answered: {outcome.statuses}")
    return outcome


def _costs(ready: Ready, pid: int) -> Costs:
    before = processor_seconds(pid)
    _load(ready)
    costs: dict[str, float] = defaultdict(float)
    for (process_id, name), seconds in processor_seconds(pid).items():
        spent = seconds - before.get((process_id, name), 0.0)
        costs[name] += 1000 * spent / IMAGES
    return {name: ms for name, ms in costs.items() if ms >= 0.01}


def processor_seconds(pid: int) -> dict[tuple[int, str], float]:
    """Return the processor seconds of the stack's processes, by their id and name."""
    times = {}
    for process in _processes(pid):
        try:
            spent = process.cpu_times()
            times[process.pid, _name(process)] = spent.user + spent.system
        except psutil.NoSuchProcess:
            continue
    return times


def _processes(pid: int) -> list[psutil.Process]:
    launcher = psutil.Process(pid)
    return [launcher, *launcher.children(recursive=True)]


def _name(process: psutil.Process) -> str:
    title = " ".join(process.cmdline())
    if "pipeline.image.decoder_process" in title:
        return _DECODERS
    role = role_of(title)
    return "the launcher and others" if role is None else role.name


def _functions(ready: Ready, pid: int) -> dict[str, Costs]:
    """Return the own time of the costliest functions of the gateway, the proxy and the replica."""
    program = shutil.which("py-spy") or shutil.which(
        "py-spy", path=str(Path(sys.executable).parent)
    )
    if program is None:
        print("benchmarks: py-spy is not installed: no functions", file=sys.stderr)
        return {}
    watched = {_name(process): process.pid for process in _processes(pid)}
    chosen = {
        name: process_id
        for name, process_id in watched.items()
        if name in WANTED_MS or name.startswith("a replica")
    }
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        files = {name: Path(folder) / str(number) for number, name in enumerate(chosen)}
        for name, process_id in chosen.items():
            stack.enter_context(_sampled(program, process_id, files[name]))
        _load(ready)
        stack.close()  # py-spy writes at its end
        return {name: costliest(file.read_text()) for name, file in files.items()}


@contextmanager
def _sampled(program: str, pid: int, output: Path) -> Iterator[None]:
    command = [program, "record", "--pid", str(pid), "--rate", str(_RATE), "--function", "--gil"]
    spy = subprocess.Popen(
        [*command, "--format", "raw", "--output", str(output)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        stdin=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        spy.send_signal(2)
        spy.wait(60)


def costliest(stacks: str) -> dict[str, float]:
    """Return the milliseconds an image of the functions with the most own time.

    stacks: py-spy's raw format, a line for each stack: its frames from the outermost, separated by
    semicolons, and the number of its samples.
    """
    own: Counter[str] = Counter()
    for line in stacks.splitlines():
        frames, _, count = line.rpartition(" ")
        own[frames.split(";")[-1]] += int(count)
    samples = own.most_common(FUNCTIONS)
    return {name: 1000 * count / _RATE / IMAGES for name, count in samples}
