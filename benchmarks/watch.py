"""Measure the watch of the model: false alarms of healthy clinics, and examinations to detection.

Clinics send examinations of one to four images that are alike: they are drawn from the demo's
held-out images, whose statistics have ties, few classes, and images without lesions.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from multiprocessing import get_context
from statistics import median
from time import perf_counter
from typing import Any
from uuid import UUID

import numpy as np

from benchmarks.report import NO_TARGET, Figure, Result
from benchmarks.watched_images import Values, observed_images
from gateway.monitor.profile import Distribution, Profile
from gateway.monitor.watch import RaisedAlarm, Watch
from gateway.monitor.watch_examination import ObservedImage

ALPHA = 0.05
STREAMS = 400
IMAGES = 5000
VALIDATED = 1000  # images of the profile
BEFORE, AFTER = 1000, 2000  # images before and after a change
REPEATS = 20
WANTED_MS = 1.0

_START = datetime(2026, 1, 1, tzinfo=UTC)
_Pool = Sequence[Values]


def run() -> Result:
    pools = observed_images()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as processes:
        healthy = list(
            processes.map(partial(_healthy, pools["unchanged"]), range(STREAMS), chunksize=10)
        )
        detections = {
            name: list(processes.map(partial(_changed, pools["unchanged"], pool), range(REPEATS)))
            for name, pool in pools.items()
            if name != "unchanged"
        }
    alarmed = sum(bool(alarms) for alarms, _ in healthy)
    most = STREAMS * ALPHA + 2 * (STREAMS * ALPHA * (1 - ALPHA)) ** 0.5
    took_ms = median(seconds for _, seconds in healthy) / IMAGES * 1000
    figures = [
        Figure(
            f"false alarms in {STREAMS} healthy streams of {IMAGES} images, alpha {ALPHA}",
            f"<= {most:.0f}",
            str(alarmed),
            alarmed <= most,
        ),
        Figure(
            "the watch of one image",
            f"<= {WANTED_MS:g} ms",
            f"{took_ms:.2f} ms",
            took_ms <= WANTED_MS,
        ),
        *(_figure(name, alarms) for name, alarms in detections.items()),
    ]
    details = {name: [_plain(row) for row in rows] for name, rows in detections.items()}
    return Result("watch", figures, {"false_alarms": alarmed, "detections": details})


def _healthy(pool: _Pool, seed: int) -> tuple[list[RaisedAlarm], float]:
    """Return the alarms of a clinic that does not change, and the seconds that they took."""
    rng = np.random.default_rng(seed)
    watch = Watch(_profile(pool, rng), ALPHA)
    images = list(_stream(pool, rng, IMAGES))
    began = perf_counter()
    alarms = watch.advance(images, images[-1].at + timedelta(hours=1))
    return alarms, perf_counter() - began


def _changed(pool: _Pool, changed: _Pool, seed: int) -> list[tuple[RaisedAlarm, int]]:
    """Return the alarms of a clinic that changes, each with the examinations that it took."""
    rng = np.random.default_rng(100_000 + seed)
    watch = Watch(_profile(pool, rng), ALPHA)
    before = list(_stream(pool, rng, BEFORE))
    alarms = watch.advance(before, before[-1].at + timedelta(hours=1))
    begun = watch.examinations
    after = list(_stream(changed, rng, AFTER, first=BEFORE + 100))
    found = [(alarm, 0) for alarm in alarms]
    for image in after:
        found += [(alarm, watch.examinations - begun) for alarm in watch.advance([image], image.at)]
    return found


def _stream(
    pool: _Pool, rng: np.random.Generator, count: int, first: int = 0
) -> Iterator[ObservedImage]:
    """Yield images of examinations, whose images are of the same or a neighbouring scene."""
    number = first
    while number < first + count:
        examination = str(UUID(int=int(rng.integers(1 << 62))))
        scene = int(rng.integers(len(pool)))
        for _ in range(min(int(rng.integers(1, 5)), first + count - number)):
            values = pool[scene if rng.random() < 0.8 else int(rng.integers(len(pool)))]
            at = _START + timedelta(minutes=5 * number)
            id_ = str(UUID(int=int(rng.integers(1 << 62))))
            yield ObservedImage(id_, at, examination, values)
            number += 1


def _profile(pool: _Pool, rng: np.random.Generator) -> Profile:
    """Return the profile of some of the images, as `lesionserve pack --profile` makes it."""
    columns: dict[str, dict[str, list[float]]] = {}
    for row in rng.integers(len(pool), size=VALIDATED):
        for group, statistics in pool[row].items():
            for name, value in statistics.items():
                columns.setdefault(group, {}).setdefault(name, []).append(value)
    levels = np.linspace(0, 1, 101)
    per_image = {
        group: {
            name: Distribution(count=len(column), quantiles=np.quantile(column, levels).tolist())
            for name, column in statistics.items()
        }
        for group, statistics in columns.items()
    }
    return Profile(images=VALIDATED, per_image=per_image, accuracy=None)


def _figure(name: str, repeats: Sequence[list[tuple[RaisedAlarm, int]]]) -> Figure:
    """Return how many examinations it took until an alarm, and which groups alarmed."""
    parts = []
    for reference in ("validation", "earlier"):
        firsts = [
            min(after for alarm, after in alarms if alarm.reference == reference)
            for alarms in repeats
            if any(alarm.reference == reference for alarm, _ in alarms)
        ]
        after = f" after {median(firsts):.0f} examinations" if firsts else ""
        parts.append(f"{reference}: {len(firsts)} of {len(repeats)}{after}")
    groups = Counter(group for alarms in repeats for group in {alarm.group for alarm, _ in alarms})
    measured = f"{'; '.join(parts)} ({', '.join(f'{group} {n}' for group, n in groups.items())})"
    return Figure(name, NO_TARGET, measured, None)


def _plain(alarms: list[tuple[RaisedAlarm, int]]) -> list[dict[str, Any]]:
    return [
        {"group": alarm.group, "reference": alarm.reference, "statistic": alarm.statistic,
         "examinations": after}
        for alarm, after in alarms
    ]  # fmt: skip
