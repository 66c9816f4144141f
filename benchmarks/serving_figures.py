"""Say by name how the whole stack compares with its peers and with the engine alone."""

import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from benchmarks.load import Outcome
from benchmarks.measure import Spread, percentile, ratio
from benchmarks.report import Figure, Result
from benchmarks.serving import (
    DOCUMENT,
    MOST_CLIENTS,
    OURS,
    PEERS,
    Comparison,
    Round,
    behind_django,
    better,
    model_threads,
)

DEMO = "demo bundle"
R50_FPN = "R50-FPN"
# Of the predictor alone, bytes to answer and its engine only.
WANTED_OF_ALONE = 0.92
# Images/s at MOST_CLIENTS clients, as a multiple of the peer's.
WANTED_BARE = {DEMO: 1.0, R50_FPN: 1.0}
WANTED_BEHIND_DJANGO = {DEMO: 1.5, R50_FPN: 1.05}
WANTED_DOCUMENT = {DEMO: 4.0, R50_FPN: 1.0}
# One client's p50 beyond the predictor alone: milliseconds of the demo, a part of R50-FPN's time.
MOST_BEYOND_MS = 8.0
MOST_OF_ALONE = 1.03

# By contender and number of clients.
Pooled = dict[str, dict[int, dict[str, Any]]]


def result(part: str, comparison: Comparison) -> Result:
    name, rounds = comparison.workload.name, comparison.rounds
    peers = [peer for peer in rounds[0].outcomes if peer != OURS]
    figures = [
        *against_alone(name, rounds),
        *(figure for peer in peers for figure in against(peer, name, rounds)),
    ]
    details = {
        "threads": model_threads(),
        "settings": {peer: str(better(trials)) for peer, trials in comparison.trials.items()},
        "trials": {
            peer: {str(setting): speed for setting, speed in trials.items()}
            for peer, trials in comparison.trials.items()
        },
        "contenders": pooled(rounds),
        "rounds": [
            {"alone_s": asdict(measured.alone), "contenders": pooled([measured])}
            for measured in rounds
        ],
    }
    return Result(part, figures, details)


def against_alone(name: str, rounds: Sequence[Round]) -> list[Figure]:
    title = f"{name}: images/s at {MOST_CLIENTS} clients to the predictor alone"
    wanted = f">= {WANTED_OF_ALONE:g}"
    titles = [f"{title}, bytes to answer", f"{title}, its engine only"]
    ours = [measured.outcomes[OURS] for measured in rounds]
    if failed := _failures([outcomes[MOST_CLIENTS] for outcomes in ours]):
        figures = [Figure(of, wanted, f"{failed} requests failed", False) for of in titles]
    else:
        served = [outcomes[MOST_CLIENTS].per_second for outcomes in ours]
        answers = [1 / statistics.mean(measured.alone.answer) for measured in rounds]
        engines = [1 / statistics.mean(measured.alone.engine) for measured in rounds]
        figures = [
            _at_least(of, WANTED_OF_ALONE, ratio(served, alone))
            for of, alone in zip(titles, (answers, engines), strict=True)
        ]
    return [*figures, one_client(name, rounds)]


def one_client(name: str, rounds: Sequence[Round]) -> Figure:
    """Return what one client waits beyond the predictor alone, by their p50."""
    outcomes = [measured.outcomes[OURS][1] for measured in rounds]
    title = f"{name}: p50 of one client beyond the predictor alone"
    wanted = f"<= {MOST_BEYOND_MS:g} ms"
    if name == R50_FPN:
        title = f"{name}: p50 of one client to the predictor alone"
        wanted = f"<= {MOST_OF_ALONE:g}"
    if failed := _failures(outcomes):
        return Figure(title, wanted, f"{failed} requests failed", False)
    p50 = [percentile(outcome.latencies_ms, 50) for outcome in outcomes]
    alone = [measured.alone.p50_ms for measured in rounds]
    if name == R50_FPN:
        part = ratio(p50, alone)
        return Figure(title, wanted, str(part), part.median <= MOST_OF_ALONE)
    more = Spread.of([ms - own for ms, own in zip(p50, alone, strict=True)])
    return Figure(title, wanted, f"{more} ms", more.median <= MOST_BEYOND_MS)


def against(peer: str, name: str, rounds: Sequence[Round]) -> list[Figure]:
    """Return images/s and p99 as multiples of the peer's.

    A failed request has no latency, and takes less work than an answered one. So where one fails,
    there is no ratio: ours miss the target, and against a failing peer nothing is measured.
    """
    fast = wanted_of(peer, name)
    title = f"{name}: {MOST_CLIENTS} clients against {peer}"
    speed_title, p99_title = f"{title}, images/s", f"{title}, p99"
    ours = [measured.outcomes[OURS][MOST_CLIENTS] for measured in rounds]
    theirs = [measured.outcomes[peer][MOST_CLIENTS] for measured in rounds]
    for outcomes, whose, met in ((ours, OURS, False), (theirs, peer, None)):
        if failed := _failures(outcomes):
            note = f"{failed} requests of {whose} failed"
            return [
                Figure(speed_title, f">= {fast:g}", note, met),
                Figure(p99_title, "<= 1", note, met),
            ]
    speed = ratio(_speeds(ours), _speeds(theirs))
    p99 = ratio(_p99(ours), _p99(theirs))
    return [
        _at_least(speed_title, fast, speed),
        Figure(p99_title, "<= 1", str(p99), p99.median <= 1),
    ]


def wanted_of(peer: str, name: str) -> float:
    """Return the images/s that are wanted, as a multiple of the peer's."""
    if peer == DOCUMENT:
        return WANTED_DOCUMENT[name]
    if peer in map(behind_django, PEERS):
        return WANTED_BEHIND_DJANGO[name]
    return WANTED_BARE[name]


def pooled(rounds: Sequence[Round]) -> Pooled:
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
    enough = len(latencies) > 1
    return {
        "per_second": asdict(Spread.of(_speeds(outcomes))),
        **{
            f"p{percent}_ms": percentile(latencies, percent) if enough else None
            for percent in (50, 95, 99)
        },
        "statuses": dict(statuses),
    }


def _at_least(title: str, wanted: float, spread: Spread) -> Figure:
    return Figure(title, f">= {wanted:g}", str(spread), spread.median >= wanted)


def _failures(outcomes: Sequence[Outcome]) -> int:
    return sum(len(outcome.answers) - len(outcome.good) for outcome in outcomes)


def _speeds(outcomes: Sequence[Outcome]) -> list[float]:
    return [outcome.per_second for outcome in outcomes]


def _p99(outcomes: Sequence[Outcome]) -> list[float]:
    return [percentile(outcome.latencies_ms, 99) for outcome in outcomes]
