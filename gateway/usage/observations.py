"""The observations of answered images: made with the record, sketched by day, then deleted."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Max
from django.db.models.functions import Now

from gateway.audit.models import Record, Source
from gateway.database import database_time
from gateway.usage.bins import bin_of
from gateway.usage.models import Observation, Sketch
from pipeline.observation import observe
from pipeline.schemas import Prediction

# An observation is committed within seconds of its time; after these, no more come with an earlier
# one. All times are the database's, so that the gateways' clocks do not matter.
SETTLED_AFTER = timedelta(seconds=30)
_DAY = timedelta(days=1)
_BEGINNING = datetime(2000, 1, 1, tzinfo=UTC)

# Of the groups of an observation, those that a score threshold of the client's does not change.
_OF_THE_IMAGE = ("quality", "input", "embedding")


def observation_of(record: Record, prediction: Prediction, examination: str) -> Observation | None:
    """Return what is kept of an answered image; None for a probe's, or one answered before."""
    if record.source == Source.PROBE or record.replayed:
        return None
    return Observation(
        request_id=record.request_id,
        at=Now(),
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


def settled_until() -> datetime:
    """Return the time before which no observation is still to come; blocking."""
    return database_time() - SETTLED_AFTER


def sketch_days() -> None:
    """Sketch the days (UTC) that have ended since the last sketch; blocking.

    Days are sketched in order, so that one look at the index says that there is nothing to do.
    """
    today = midnight(settled_until())
    last = Sketch.objects.aggregate(last=Max("day"))["last"]
    begins = _BEGINNING if last is None else _begin_of(last) + _DAY
    while True:
        unsketched = Observation.objects.filter(at__gte=begins, at__lt=today)
        first = unsketched.order_by("at").values_list("at", flat=True).first()
        if first is None:
            return
        begins = midnight(first)
        of_the_day = unsketched.filter(at__lt=begins + _DAY).order_by("at")
        sketches = sketches_of(begins.date(), of_the_day.iterator(chunk_size=2000))
        with transaction.atomic():
            # Another process may write the same rows at the same time.
            Sketch.objects.bulk_create(sketches, ignore_conflicts=True)
        begins += _DAY


def midnight(at: datetime) -> datetime:
    """Return when the day (UTC) of that time began."""
    return _begin_of(at.astimezone(UTC).date())


def _begin_of(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)


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


def expired_before() -> datetime:
    """Return the midnight before which observations have outlived their retention; blocking."""
    return midnight(database_time()) - timedelta(days=settings.OBSERVATION_DAYS)
