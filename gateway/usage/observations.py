"""The observations of answered images: made with the record, sketched by day, then deleted."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from gateway.audit.models import Record, Source
from gateway.usage.bins import bin_of
from gateway.usage.models import Observation, Sketch
from pipeline.observation import observe
from pipeline.schemas import Prediction

# A record is committed within seconds of its time; after these, no more come with an earlier one.
SETTLED_AFTER = timedelta(seconds=30)

# Of the groups of an observation, those that a score threshold of the client's does not change.
_OF_THE_IMAGE = ("quality", "input", "embedding")


def observation_of(record: Record, prediction: Prediction, examination: str) -> Observation | None:
    """Return what is kept of an answered image; None for a probe's, or one answered before."""
    if record.source == Source.PROBE or record.replayed:
        return None
    assert record.finished_at is not None
    return Observation(
        request_id=record.request_id,
        at=record.finished_at,
        organisation_id=record.organisation_id,
        examination=examination,
        bundle_sha256=prediction.model.bundle_sha256,
        width=prediction.image.width,
        height=prediction.image.height,
        values=_values(prediction),
    )


def _values(prediction: Prediction) -> dict[str, dict[str, float]]:
    values = {group: dict(statistics) for group, statistics in observe(prediction).items()}
    if prediction.options.score_threshold is not None:
        return {group: values.get(group, {}) for group in _OF_THE_IMAGE}
    return values


def settled_until(now: datetime) -> datetime:
    """Return the time before which no observation is still to come."""
    return now - SETTLED_AFTER


def sketch_days() -> None:
    """Sketch the days (UTC) that have ended and have no sketch yet; blocking."""
    ended = settled_until(timezone.now()).astimezone(UTC).date()
    sketched = set(Sketch.objects.values_list("day", flat=True).distinct())
    for day in Observation.objects.filter(at__date__lt=ended).dates("at", "day"):
        if day not in sketched:
            of_the_day = Observation.objects.filter(at__date=day).order_by("at")
            sketches = sketches_of(day, of_the_day.iterator(chunk_size=2000))
            with transaction.atomic():
                # Another process may write the same rows at the same time.
                Sketch.objects.bulk_create(sketches, ignore_conflicts=True)


def sketches_of(day: date, observations: Iterable[Observation]) -> list[Sketch]:
    """Return the sketches of the observations of a day."""
    counts: dict[tuple[int, str, int, int], dict[str, dict[str, Counter[int]]]] = {}
    images: Counter[tuple[int, str, int, int]] = Counter()
    examinations = defaultdict(set)
    for row in observations:
        key = (row.organisation_id, row.bundle_sha256, row.width, row.height)
        images[key] += 1
        examinations[key].add(row.examination)
        of_key = counts.setdefault(key, defaultdict(lambda: defaultdict(Counter)))
        for group, statistics in row.values.items():
            for name, value in statistics.items():
                of_key[group][name][bin_of(value)] += 1
    return [
        Sketch(
            day=day,
            organisation_id=key[0],
            bundle_sha256=key[1],
            width=key[2],
            height=key[3],
            images=images[key],
            examinations=len(examinations[key]),
            counts=of_key,
        )
        for key, of_key in counts.items()
    ]


def expired_before(now: datetime) -> datetime:
    """Return the time before which observations have outlived their retention."""
    return now - timedelta(days=settings.OBSERVATION_DAYS)
