"""Compare the whole stack with its peers and with the engine alone, on this machine.

Only one contender fits the machine at a time: in each round every one is started, measured and
stopped, and figures are ratios within a round. The document's stack needs Detectron2: without
LESIONSERVE_DETECTRON2_PYTHON, an interpreter that has it, it is skipped.
"""

import json
import os
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.load import Outcome, apply, form_request
from benchmarks.measure import Spread, ratio
from benchmarks.peers import contenders
from benchmarks.peers.contenders import Contender, Setting, Target
from benchmarks.plot import plot
from benchmarks.report import Figure, Result
from benchmarks.standard import jpeg, scene, standard_bundle
from cluster.paths import DEMO_BUNDLE, DEMO_IMAGE, LOCAL_PROFILE
from serve_app.paths import ROOT

FOLDER = Path("out/benchmarks")
MOST_CLIENTS = 16
_WITHIN_S = 60.0  # no request starts later
CORES = os.cpu_count() or 1
# Of each worker. LitServe and BentoML advise one worker for each core; Detectron2 takes them all.
THREADS = {"lesionserve": CORES, "LitServe": 1, "BentoML": 1, "the document's stack": CORES}
# Images/s at MOST_CLIENTS clients, by workload and whether the peer is the document's stack.
WANTED = {
    ("demo bundle", False): 1.0,
    ("demo bundle", True): 3.0,
    ("R50-FPN", False): 1.0,
    ("R50-FPN", True): 1.0,
}


@dataclass(frozen=True, slots=True)
class Workload:
    name: str
    bundle: Path
    images: list[Path]
    requests: dict[int, int]  # in all, by the number of clients
    rounds: int


@dataclass(frozen=True, slots=True)
class Alone:
    """The predictor in a process of its own.

    answer: seconds for each image, from bytes to answer. engine: the engine's own part of that.
    labels: on each of the workload's images.
    """

    answer: list[float]
    engine: list[float]
    labels: list[list[str]]


@dataclass(frozen=True, slots=True)
class Round:
    alone: Alone
    outcomes: dict[str, dict[int, Outcome]]  # by contender and number of clients


def run() -> Result:
    demo = demo_workload()
    rounds = [measure(demo, number) for number in range(demo.rounds)]
    standard = standard_workload()
    standard_rounds = [measure(standard, number) for number in range(standard.rounds)]
    plot(pooled(rounds), Path(__file__).with_suffix(".svg"), demo.name)
    return result(rounds, standard_rounds)


def demo_workload() -> Workload:
    images = [*sorted((DEMO_BUNDLE / "golden").glob("*.jpg")), DEMO_IMAGE]
    return Workload(
        "the demo bundle", DEMO_BUNDLE, images, {1: 28, 4: 70, MOST_CLIENTS: 140}, rounds=3
    )


def standard_workload() -> Workload:
    bundle = standard_bundle(FOLDER)
    images = [FOLDER / "serving" / f"scene{seed}.jpg" for seed in (11, 12)]
    for seed, path in zip((11, 12), images, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(scene(seed)))
    return Workload("R50-FPN", bundle, images, {1: 3, 4: 8, MOST_CLIENTS: 16}, rounds=1)


def measure(workload: Workload, number: int = 0) -> Round:
    """Measure all contenders in turn; each round begins with another."""
    alone = measure_alone(workload, Setting(workload.bundle, model_threads()))
    names = list(present())
    shift = number % len(names)
    return Round(
        alone,
        {
            name: measure_contender(
                present()[name], workload, Setting(workload.bundle, THREADS[name]), alone
            )
            for name in names[shift:] + names[:shift]
        },
    )


def present() -> dict[str, Contender]:
    installed: dict[str, Contender] = {
        "lesionserve": contenders.lesionserve,
        "LitServe": contenders.litserve,
        "BentoML": contenders.bentoml,
    }
    if contenders.DETECTRON2 in os.environ:
        installed["the document's stack"] = contenders.document
    else:
        print(f"benchmarks: {contenders.DETECTRON2} names no Detectron2: skipped", file=sys.stderr)
    return installed


def model_threads() -> int:
    """Return the threads that the local profile gives the model, and so the predictor alone."""
    profile = yaml.safe_load(LOCAL_PROFILE.read_text())
    threads: int = profile["applications"][0]["args"]["model"]["threads"]
    return threads


def measure_alone(workload: Workload, setting: Setting) -> Alone:
    command = [sys.executable, "-m", "benchmarks.peers.alone", str(workload.requests[1])]
    done = subprocess.run(
        command + [str(image) for image in workload.images],
        cwd=ROOT,
        env={**os.environ, **setting.environment()},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Alone(**json.loads(done.stdout))


def measure_contender(
    contender: Contender, workload: Workload, setting: Setting, alone: Alone
) -> dict[int, Outcome]:
    with contender(setting) as target:
        check_answers(target, workload, alone)
        outcomes = {}
        for clients, requests in workload.requests.items():
            warm_up = min(clients, max(1, requests // 8))
            _load(target, workload, clients, warm_up)
            outcomes[clients] = _load(target, workload, clients, requests)
        return outcomes


def check_answers(target: Target, workload: Workload, alone: Alone) -> None:
    """Check that a contender does the same work: the same lesions, masks and a picture."""
    with httpx.Client(headers=target.headers, timeout=120) as client:
        for image, labels in zip(workload.images, alone.labels, strict=True):
            response = client.post(target.url, files={"file": image.read_bytes()})
            answer = response.raise_for_status().json()
            lesions = answer["detections"]
            assert [lesion["label"] for lesion in lesions] == labels, f"{image.name}: other lesions"
            assert all(lesion["mask"]["counts"] for lesion in lesions), f"{image.name}: no masks"
            assert answer["visualization"], f"{image.name}: no picture"


def _load(target: Target, workload: Workload, clients: int, count: int) -> Outcome:
    """Post the workload's images in turn, `count` of them in all."""
    images = [image.read_bytes() for image in workload.images]
    requests = cycle([form_request(target.url, target.headers, image) for image in images])
    return apply(target.url, islice(requests, count), clients, _WITHIN_S)


def pooled(rounds: Sequence[Round]) -> dict[str, dict[int, dict[str, Any]]]:
    """Return throughput, latencies and statuses by contender and number of clients."""
    return {
        name: {
            clients: _pool([measured.outcomes[name][clients] for measured in rounds])
            for clients in outcomes
        }
        for name, outcomes in rounds[0].outcomes.items()
    }


def _pool(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    latencies = [ms for outcome in outcomes for ms in outcome.latencies_ms]
    statuses = sum((Counter(outcome.statuses) for outcome in outcomes), Counter())
    return {
        "per_second": asdict(Spread.of([outcome.per_second for outcome in outcomes])),
        **{f"p{percent}_ms": percentile(latencies, percent) for percent in (50, 95, 99)},
        "statuses": dict(statuses),
    }


def percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def result(demo: Sequence[Round], standard: Sequence[Round]) -> Result:
    figures = [
        *_against_alone("demo bundle", demo),
        *_against_alone("R50-FPN", standard),
        *_against_peers("demo bundle", demo),
        *_against_peers("R50-FPN", standard),
    ]
    details = {
        name: {
            "alone_s": [asdict(measured.alone) for measured in rounds],
            "contenders": pooled(rounds),
        }
        for name, rounds in (("demo", demo), ("r50_fpn", standard))
    }
    return Result("serving", figures, {"threads": model_threads(), **details})


def _against_alone(name: str, rounds: Sequence[Round]) -> list[Figure]:
    served = [measured.outcomes["lesionserve"][MOST_CLIENTS].per_second for measured in rounds]
    answer = ratio(served, [1 / statistics.mean(measured.alone.answer) for measured in rounds])
    engine = ratio(served, [1 / statistics.mean(measured.alone.engine) for measured in rounds])
    more = Spread.of(
        [
            percentile(measured.outcomes["lesionserve"][1].latencies_ms, 50)
            - 1000 * statistics.median(measured.alone.answer)
            for measured in rounds
        ]
    )
    title = f"{name}: images/s at {MOST_CLIENTS} clients to the predictor alone"
    return [
        Figure(f"{title}, bytes to answer", ">= 0.92", str(answer), answer.median >= 0.92),
        Figure(f"{title}, its engine only", ">= 0.92", str(engine), engine.median >= 0.92),
        Figure(
            f"{name}: p50 of one client beyond the predictor alone",
            "<= 30 ms",
            f"{more} ms",
            more.median <= 30,
        ),
    ]


def _against_peers(name: str, rounds: Sequence[Round]) -> list[Figure]:
    figures = []
    for peer in rounds[0].outcomes:
        if peer == "lesionserve":
            continue
        wanted = WANTED[name, "document" in peer]
        ours = [measured.outcomes["lesionserve"][MOST_CLIENTS] for measured in rounds]
        theirs = [measured.outcomes[peer][MOST_CLIENTS] for measured in rounds]
        speed = ratio(
            [outcome.per_second for outcome in ours], [outcome.per_second for outcome in theirs]
        )
        p99 = ratio(
            [percentile(outcome.latencies_ms, 99) for outcome in ours],
            [percentile(outcome.latencies_ms, 99) for outcome in theirs],
        )
        title = f"{name}: {MOST_CLIENTS} clients against {peer}"
        failed = sum(len(outcome.answers) - len(outcome.good) for outcome in ours)
        # Neither ratio is worth anything where requests failed: only a 200 has a latency here.
        note = f"; {failed} requests failed" if failed else ""
        fast, soon = (speed.median >= wanted, p99.median <= 1) if not failed else (False, False)
        figures += [
            Figure(f"{title}, images/s", f">= {wanted:g}", f"{speed}{note}", fast),
            Figure(f"{title}, p99", "<= 1", f"{p99}{note}", soon),
        ]
    return figures
