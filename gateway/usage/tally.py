"""Counts of the records by day and caller, so that usage is read as fast for a million requests.

Records are counted once a minute, and when somebody reads the usage, never by a request. Each
record counts exactly once: the position up to which a day has been counted is committed together
with the counts, under the lock of the day's head.
"""

from collections import Counter
from collections.abc import Iterator
from math import floor, log2

from django.db import connection, transaction
from django.db.models import F

from gateway.audit.chain import Head, today
from gateway.audit.models import REQUESTS, Record, Source
from gateway.audit.pruned import pruned_days
from gateway.usage.models import Tally

_ROWS = 5000  # records counted in one transaction

# Latencies are counted in bins of an eighth of a doubling: a percentile read from them is at most 9
# % too high.
_BINS_A_DOUBLING = 8

_LONGEST = Tally._meta.get_field("value").max_length

_Key = tuple[int, str, str, str]  # organisation, caller, dimension, value


def fold() -> None:
    """Bring the counts up to date with the records; blocking."""
    forget_pruned()
    for head in Head.objects.filter(trail=REQUESTS, length__gt=F("tallied")):
        while _fold_some(head):
            pass


def forget_pruned() -> None:
    """Delete the counts of days that were pruned from the audit trail; blocking."""
    heads = Head.objects.filter(trail=REQUESTS).order_by("day").values_list("day", flat=True)
    before_trail = Tally.objects.filter(day__lt=heads.first() or today())
    days = set(before_trail.values_list("day", flat=True).distinct())
    if days:
        pruned = {day.day for day in pruned_days(REQUESTS)}
        Tally.objects.filter(day__in=[day for day in days if str(day) in pruned]).delete()


def _fold_some(seen: Head) -> bool:
    with transaction.atomic():
        head = Head.objects.select_for_update().filter(pk=seen.pk).first()
        if head is None:
            return False  # pruned in the meantime
        rows = Record.objects.filter(day=head.day, position__gt=head.tallied)
        records = list(rows.order_by("position")[:_ROWS])
        if not records:
            return False
        counts: Counter[_Key] = Counter()
        for record in records:
            for key, count in _values(record):
                counts[key] += count
        _add(head, counts)
        head.tallied = records[-1].position or 0
        head.save(update_fields=["tallied"])
        return True


def _values(record: Record) -> Iterator[tuple[_Key, int]]:
    if record.organisation_id is None or record.source == Source.PROBE:
        return
    for dimension, value, count in _dimensions(record):
        yield (record.organisation_id, record.caller, dimension, value[:_LONGEST]), count


def _dimensions(record: Record) -> Iterator[tuple[str, str, int]]:
    yield "outcome", record.state, 1
    if record.image_format:
        yield "image_type", record.image_format, 1
        yield "image_size", _size(record.image_pixels or 0), 1
    if record.replayed:
        yield "replayed", "true", 1
    if record.state != "succeeded" or record.replayed:
        return  # a replayed answer's detections were counted with the first request
    yield "latency", str(latency_bin(record.latency_ms or 0.0)), 1
    yield "model_version", f"{record.model_name} {record.model_version}", 1
    for label, count in record.class_counts.items():
        yield "class", label, count
    for number, count in enumerate(record.score_counts):
        yield "score", str(number), count


def _size(pixels: int) -> str:
    """Return the megapixels, rounded up to a power of two, as text."""
    megapixels = 0.25
    while pixels > megapixels * 1e6:
        megapixels *= 2
    return f"up to {megapixels:g} Mpx"


def latency_bin(ms: float) -> int:
    return floor(log2(max(ms, 1.0)) * _BINS_A_DOUBLING)


def latency_ms(number: int) -> float:
    """Return the upper end of a bin, in milliseconds."""
    return float(2 ** ((number + 1) / _BINS_A_DOUBLING))


def _add(head: Head, counts: Counter[_Key]) -> None:
    # On a conflict Django's bulk_create can replace the stored count, but not add to it.
    statement = f"""
        INSERT INTO {Tally._meta.db_table} AS kept
            (organisation_id, caller, day, dimension, value, count)
        VALUES (%s, %s, %s, %s, %s, %s)
        ON CONFLICT (organisation_id, day, caller, dimension, value)
        DO UPDATE SET count = kept.count + excluded.count
    """  # nosec B608, the name is our own model's
    rows = [
        (organisation, caller, head.day, dimension, value, count)
        for (organisation, caller, dimension, value), count in counts.items()
        if count
    ]
    with connection.cursor() as cursor:
        cursor.executemany(statement, rows)
