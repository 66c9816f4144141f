"""Compare the whole stack with its peers and with the engine alone, on this machine.

Only one contender fits the machine at a time: in each round every one is started, measured and
stopped, and figures are ratios within a round. LitServe and BentoML are measured bare, and behind
the Django gateway that their user has to build for keys and audit rows. The document's stack needs
Detectron2: without LESIONSERVE_DETECTRON2_PYTHON, an interpreter that has it, it is skipped.
"""

import json
import os
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import httpx
import yaml

from benchmarks.load import Outcome, apply, form_request
from benchmarks.peers import contenders
from benchmarks.peers.contenders import Contender, Setting, Target
from benchmarks.peers.process import output
from cluster.paths import LOCAL_PROFILE

FOLDER = Path("out/benchmarks")
MOST_CLIENTS = 16
ROUNDS = 5
OURS = "lesionserve"
DOCUMENT = "the document's stack"
PEERS: Mapping[str, Contender] = {"LitServe": contenders.litserve, "BentoML": contenders.bentoml}
_WITHIN_S = 60.0  # no request starts later

Start = Callable[[], AbstractContextManager[Target]]
# By the number of clients.
Outcomes = dict[int, Outcome]


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    bundle: Path
    images: list[Path]
    requests: dict[int, int]  # in all, by the number of clients


@dataclass(frozen=True, slots=True)
class Alone:
    """The predictor in a process of its own.

    answer: seconds for each image, from bytes to answer. engine: the engine's own part of that.
    labels: on each of the workload's images.
    """

    answer: list[float]
    engine: list[float]
    labels: list[list[str]]

    @property
    def p50_ms(self) -> float:
        return 1000 * statistics.median(self.answer)


@dataclass(frozen=True, slots=True)
class Round:
    alone: Alone
    outcomes: dict[str, Outcomes]  # by contender


@dataclass(frozen=True, slots=True)
class Comparison:
    """Hold all rounds of a workload.

    trials: images/s at MOST_CLIENTS clients in the round before, by peer and setting.
    """

    workload: Workload
    trials: dict[str, dict[Setting, float]]
    rounds: list[Round]


def compare(workload: Workload) -> Comparison:
    """Find each peer's better setting, then measure all contenders in ROUNDS rounds."""
    trials = measure_settings(workload)
    starts = contestants(workload.bundle, {name: better(of) for name, of in trials.items()})
    rounds = []
    for number in range(ROUNDS):
        print(f"benchmarks: {workload.name}, round {number + 1} of {ROUNDS}", file=sys.stderr)
        rounds.append(measure_round(workload, starts, number))
    return Comparison(workload, trials, rounds)


def measure_settings(workload: Workload) -> dict[str, dict[Setting, float]]:
    """Return images/s at MOST_CLIENTS clients by peer and setting, each bare and measured once."""
    alone = measure_alone(workload)
    most = {MOST_CLIENTS: workload.requests[MOST_CLIENTS]}
    trials: dict[str, dict[Setting, float]] = {}
    for name, peer in PEERS.items():
        trials[name] = {}
        for setting in contenders.settings(workload.bundle):
            outcomes = measure(partial(peer, setting), workload, most, alone.labels)
            speed = trials[name][setting] = outcomes[MOST_CLIENTS].per_second
            print(f"benchmarks: {name}, {setting}: {speed:.3g} images/s", file=sys.stderr)
    return trials


def better(trials: Mapping[Setting, float]) -> Setting:
    return max(trials, key=trials.__getitem__)


def behind_django(peer: str) -> str:
    return f"{peer} behind Django"


def contestants(bundle: Path, chosen: Mapping[str, Setting]) -> dict[str, Start]:
    """Return how each contender is started. chosen: the setting of each peer, by its name."""
    starts: dict[str, Start] = {OURS: partial(contenders.lesionserve, bundle)}
    for name, setting in chosen.items():
        starts[name] = partial(PEERS[name], setting)
    for name, setting in chosen.items():
        starts[behind_django(name)] = partial(contenders.behind_django, PEERS[name], setting)
    if contenders.DETECTRON2 in os.environ:
        starts[DOCUMENT] = partial(contenders.document, bundle)
    else:
        print(f"benchmarks: {contenders.DETECTRON2} names no Detectron2: skipped", file=sys.stderr)
    return starts


def measure_round(workload: Workload, starts: Mapping[str, Start], number: int) -> Round:
    alone = measure_alone(workload)
    outcomes = {}
    for name in turn(list(starts), number):
        outcomes[name] = measure(starts[name], workload, workload.requests, alone.labels)
        speed = outcomes[name][MOST_CLIENTS].per_second
        print(f"benchmarks:   {name}: {speed:.3g} images/s", file=sys.stderr)
    return Round(alone, outcomes)


def turn(names: Sequence[str], number: int) -> list[str]:
    """Return the names as a round has them: each begins with another, and every second goes back.

    So a machine that slows down during a round does not always slow the same contender.
    """
    shift = number % len(names)
    order = [*names[shift:], *names[:shift]]
    return order[::-1] if number % 2 else order


def model_threads() -> int:
    """Return the threads that the local profile gives the model, and so the predictor alone."""
    profile = yaml.safe_load(LOCAL_PROFILE.read_text())
    threads: int = profile["applications"][0]["args"]["model"]["threads"]
    return threads


def measure_alone(workload: Workload) -> Alone:
    command = [sys.executable, "-m", "benchmarks.peers.alone", str(workload.requests[1])]
    command += [str(image.resolve()) for image in workload.images]
    setting = Setting(workload.bundle, 1, model_threads())
    return Alone(**json.loads(output(command, setting.environment())))


def measure(
    start: Start,
    workload: Workload,
    requests: Mapping[int, int],
    labels: Sequence[Sequence[str]],
) -> Outcomes:
    """Return the outcomes of one contender, which is started and stopped, and checked before."""
    with start() as target:
        check_answers(target, workload, labels)
        outcomes = {}
        for clients, count in requests.items():
            if clients > 1:  # one client was warmed up by the check
                _load(target, workload, clients, min(clients, count // 8))
            outcomes[clients] = _load(target, workload, clients, count)
        return outcomes


def check_answers(target: Target, workload: Workload, labels: Sequence[Sequence[str]]) -> None:
    """Check that a contender does the same work: the same lesions, masks and a picture."""
    with httpx.Client(headers=target.headers, timeout=120) as client:
        for image, expected in zip(workload.images, labels, strict=True):
            response = client.post(target.url, files={"file": image.read_bytes()})
            answer = response.raise_for_status().json()
            lesions = answer["detections"]
            assert [lesion["label"] for lesion in lesions] == expected, (
                f"{image.name}: other lesions"
            )
            assert all(lesion["mask"]["counts"] for lesion in lesions), f"{image.name}: no masks"
            assert answer["visualization"], f"{image.name}: no picture"


def _load(target: Target, workload: Workload, clients: int, count: int) -> Outcome:
    """Post the workload's images in turn, `count` of them in all."""
    images = [image.read_bytes() for image in workload.images]
    requests = cycle([form_request(target.url, target.headers, image) for image in images])
    return apply(target.url, islice(requests, count), clients, _WITHIN_S)
