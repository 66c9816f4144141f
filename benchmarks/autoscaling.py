"""Measure how replicas follow a step of load, up and down, and what a saturated service sheds.

The stub's model is slow (5 images/s a replica), so that the replicas are the limit and not the
cores that the clients share with them.
"""

import asyncio
import json
import math
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.load import Answer, image_request, send
from benchmarks.overhead import small_image
from benchmarks.report import Figure, Result
from benchmarks.stub import AUTHORIZATION, BATCH, Cost, Service, Spec, serving

SVG = Path(__file__).with_suffix(".svg")
COST = Cost(batch_s=0.32, image_s=0.16)
FEW, MANY, FLOOD = 1, 30, 250
REPLICAS = 4
UP_WITHIN_S = 15.0
DOWN_DELAY_S = 15.0
# Drained and gone: what the replica had was at most three batches.
DOWN_SLACK_S = 15.0
QUEUED = 16
_PATIENCE_S = 1.0  # as Retry-After says
_PHASES = ((FEW, 8.0), (MANY, 35.0), (FLOOD, 30.0), (FEW, 50.0))

SPEC = Spec(
    layout="staged",
    cost=COST,
    predictor={
        "autoscaling": {
            "min_replicas": 1,
            "max_replicas": REPLICAS,
            "target_ongoing_requests": 6,
            "look_back_period_s": 3,
            "metrics_interval_s": 1,
            "upscale_delay_s": 1,
            "downscale_delay_s": DOWN_DELAY_S,
            "downscaling_factor": 1,
        },
        "max_queued_requests": QUEUED,
    },
    ingress={"max_ongoing_requests": 400},
)


@dataclass(slots=True)
class Course:
    """The recording of one run: answers, replicas and phases. Times are time.monotonic()."""

    answers: list[Answer] = field(default_factory=list)
    phases: list[tuple[float, int]] = field(default_factory=list)
    replicas: list[tuple[float, int]] = field(default_factory=list)

    def between(self, began: float, ended: float) -> list[Answer]:
        return [
            answer
            for answer in self.answers
            if began <= answer.at - answer.took_s and answer.at < ended
        ]

    def reached(self, wanted: int, since: float) -> float:
        """Return the seconds from `since` until that many replicas ran; infinite without such."""
        return min(
            (at - since for at, n in self.replicas if at >= since and n == wanted), default=math.inf
        )


def run() -> Result:
    with serving(SPEC) as service:
        course = asyncio.run(_course(service))
        course.replicas = [(state.at, state.replicas) for state in service.states]
    _, step, flood, ebb = (at for at, _ in course.phases)
    end = ebb + _PHASES[-1][1]
    up = course.reached(REPLICAS, step)
    down = course.reached(1, ebb)
    steps = [*course.between(0, flood), *course.between(ebb, end)]
    failed = [answer for answer in steps if answer.status != 200]
    shedding = _shedding(course.between(flood + 2, ebb))
    before = course.between(step + UP_WITHIN_S, flood)
    settled = _percentile([answer.took_s for answer in before], 0.99)
    most = 3 * BATCH * REPLICAS + QUEUED
    bound = most / (COST.capacity() * REPLICAS)
    draw(course, SVG)
    figures = [
        Figure(
            f"step from {FEW} to {MANY} clients, 1 to {REPLICAS} replicas",
            f"in at most {UP_WITHIN_S:.0f} s",
            f"{up:.1f} s",
            up <= UP_WITHIN_S,
        ),
        Figure(
            f"back to 1 replica, downscale_delay_s {DOWN_DELAY_S:.0f}",
            f"in {DOWN_DELAY_S:.0f} to {DOWN_DELAY_S + DOWN_SLACK_S:.0f} s",
            f"{down:.1f} s",
            DOWN_DELAY_S <= down <= DOWN_DELAY_S + DOWN_SLACK_S,
        ),
        Figure("failed requests in both steps", "0", f"{len(failed)} of {len(steps)}", not failed),
        Figure(
            f"saturation with {FLOOD} clients: the rest is shed",
            "503 with Retry-After, p99 at most 1 s",
            f"{shedding['shed']} shed, p99 {shedding['shed_p99_s']:.2f} s; "
            f"{shedding['other']} other",
            shedding["shed"] > 0 and shedding["other"] == 0 and shedding["shed_p99_s"] <= 1,
        ),
        Figure(
            "saturation: p99 of what is admitted",
            f"at most what the queues hold: {bound:.1f} s",
            f"{shedding['good_p99_s']:.2f} s (before: {settled:.2f} s)",
            shedding["good_p99_s"] <= bound,
        ),
    ]
    return Result("autoscaling", figures, {"spec": SPEC.args(1), "course": _plain(course)})


async def _course(service: Service) -> Course:
    url = f"{service.url}/1/predict?visualization=none"
    request = image_request(url, AUTHORIZATION, small_image())
    course = Course()
    clients: list[asyncio.Task[None]] = []
    staying = 0

    def requests(index: int) -> Iterator[bytes]:
        while index < staying:
            yield request

    for count, seconds in _PHASES:
        print(f"autoscaling: {count} clients for {seconds:.0f} s", file=sys.stderr)
        course.phases.append((time.monotonic(), count))
        staying = count
        for index in range(len(clients), count):
            client = send(service.url, requests(index), course.answers.append, _PATIENCE_S)
            clients.append(asyncio.create_task(client))
        await asyncio.sleep(seconds)
    staying = 0
    await asyncio.gather(*clients)
    return course


def _shedding(answers: list[Answer]) -> dict[str, Any]:
    shed = [answer.took_s for answer in answers if answer.status == 503 and answer.retry_after]
    good = [answer.took_s for answer in answers if answer.status == 200]
    return {
        "shed": len(shed),
        "shed_p99_s": _percentile(shed, 0.99),
        "good_p99_s": _percentile(good, 0.99),
        "other": len(answers) - len(shed) - len(good),
    }


def _percentile(values: list[float], part: float) -> float:
    return sorted(values)[int(part * len(values))] if values else math.inf


def _plain(course: Course) -> dict[str, Any]:
    """Return the course as JSON, in seconds from the first phase on."""
    zero = course.phases[0][0]
    return {
        "phases": [[round(at - zero, 2), count] for at, count in course.phases],
        "replicas": [[round(at - zero, 2), count] for at, count in course.replicas],
        "answers": [
            [round(answer.at - zero, 3), round(answer.took_s, 4), answer.status]
            for answer in course.answers
        ],
    }


def draw(course: Course, path: Path) -> None:
    """Draw clients, replicas and latency over time, each above the next."""
    from matplotlib.figure import Figure as Page

    zero, end = course.phases[0][0], course.phases[-1][0] + _PHASES[-1][1]
    page = Page(figsize=(8, 6), layout="constrained")
    load, replicas, latency = page.subplots(3, 1, sharex=True)
    steps = [*course.phases, (end, course.phases[-1][1])]
    load.step([at - zero for at, _ in steps], [n for _, n in steps], where="post")
    load.set_ylabel("clients")
    load.set_yscale("log")
    running = [(at - zero, n) for at, n in course.replicas if zero <= at <= end]
    replicas.step([at for at, _ in running], [n for _, n in running], where="post")
    replicas.set_ylabel("predictor replicas")
    for status, label in ((200, "answered"), (503, "shed (503)")):
        answers = [answer for answer in course.answers if answer.status == status]
        times = [answer.at - zero for answer in answers]
        latency.plot(times, [answer.took_s for answer in answers], ".", ms=2, label=label)
    latency.set_ylabel("seconds to answer")
    latency.set_xlabel("seconds")
    latency.legend(loc="upper right")
    page.savefig(path)


if __name__ == "__main__":
    result = run()
    print(json.dumps([str(figure) for figure in result.figures], indent=1))
