"""Streams of observed images, as a clinic may send them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np

from gateway.monitor.profile import Distribution, Profile
from gateway.monitor.watch_examination import ObservedImage

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
Values = dict[str, dict[str, float]]


def healthy(rng: np.random.Generator) -> Values:
    """An image of a site: continuous and discrete statistics, ties, and often no lesion."""
    lesions = int(rng.poisson(0.8))
    values: Values = {
        "quality": {"luma_mean": float(rng.normal(0.5, 0.05)), "dark_share": 0.0},
        "detections": {"count": float(lesions)},
        "classes": {"LSIL": float(rng.binomial(lesions, 0.6)), "HSIL": 0.0},
        "scores": {},
        "areas": {},
    }
    if rng.random() < 0.2:
        values["quality"]["dark_share"] = float(rng.random() * 0.01)
    values["classes"]["HSIL"] = lesions - values["classes"]["LSIL"]
    if lesions:
        values["scores"] = {"highest": float(rng.beta(8, 2))}
    return values


def stream(
    count: int, image: Callable[[np.random.Generator], Values], seed: int, first: int = 0
) -> Iterator[ObservedImage]:
    """Images of examinations of one to four images that are alike, the one after the other."""
    rng = np.random.default_rng(seed)
    number = first
    while number < first + count:
        examination = f"{seed}-{number}"
        patient = float(rng.normal(0, 0.03))  # what the images of one patient share
        for _ in range(min(int(rng.integers(1, 5)), first + count - number)):
            values = image(rng)
            values["quality"]["luma_mean"] += patient
            at = START + timedelta(minutes=3 * number)
            id_ = UUID(int=int(rng.integers(1 << 62)) + (number << 64))
            yield ObservedImage(str(id_), at, examination, values)
            number += 1


def profile_of(images: list[Values]) -> Profile:
    """The profile of validation images."""
    columns: dict[str, dict[str, list[float]]] = {}
    for values in images:
        for group, statistics in values.items():
            for name, value in statistics.items():
                columns.setdefault(group, {}).setdefault(name, []).append(value)
    levels = np.linspace(0, 1, 101)
    return Profile(
        images=len(images),
        per_image={
            group: {
                name: Distribution(
                    count=len(column), quantiles=np.quantile(column, levels).tolist()
                )
                for name, column in statistics.items()
            }
            for group, statistics in columns.items()
        },
        accuracy=None,
    )
