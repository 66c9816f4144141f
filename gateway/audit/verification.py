"""Find what is wrong with the whole of a trail, beyond the faults of one day (`chain.faults`)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date

from gateway.audit.chain import Head, faults, missing_days
from gateway.audit.models import EVENTS, REQUESTS, TRAILS, Event, Record, State
from gateway.audit.pruned import Pruned, pruned_days

PrunedDays = Mapping[str, Sequence[Pruned]]


def all_faults() -> Iterator[str]:
    """Yield a line for each fault of the two trails; nothing where both are intact."""
    for head in Head.objects.order_by("trail", "day"):
        yield from (
            f"{printable_trail(head.trail)} {head.day}: {fault}" for fault in faults_of_day(head)
        )
    yield from headless_days(date.min, date.max)
    yield from gaps(all_pruned())
    yield from unsealed_rows()


def faults_of_day(head: Head) -> list[str]:
    """Verify the rows of one day of a trail against its head, and return the faults found."""
    model = TRAILS.get(head.trail)
    if model is None:
        return [f"the head is of no trail that there is ({' or '.join(TRAILS)})"]
    return list(faults(model, head))


def headless_days(first: date, last: date) -> Iterator[str]:
    """Yield a line for each sealed day without a head."""
    for trail, model in TRAILS.items():
        known = Head.objects.filter(trail=trail).values("day")
        rows = model.objects.filter(day__range=(first, last)).exclude(day__in=known)
        for day in rows.order_by("day").values_list("day", flat=True).distinct():
            yield f"{trail} {day}: the head of the day is missing"


def all_pruned() -> PrunedDays:
    """Return the pruned days of each trail."""
    return {trail: list(pruned_days(trail)) for trail in TRAILS}


def gaps(pruned: PrunedDays) -> Iterator[str]:
    """Yield a line for each gap between the days of a trail that no pruning explains."""
    for trail in TRAILS:
        for gap in missing_days(trail, {pruned_day.number for pruned_day in pruned[trail]}):
            yield f"{trail}: {gap}"


def unsealed_rows() -> Iterator[str]:
    """Yield a line for each trail that has final rows outside every day, as a forger writes."""
    counts = {
        REQUESTS: Record.objects.filter(day=None).exclude(state=State.RECEIVED).count(),
        EVENTS: Event.objects.filter(day=None).count(),
    }
    for trail, count in counts.items():
        if count:
            yield f"{trail}: {count} rows were never sealed"


def printable_trail(trail: str) -> str:
    """Return the name of a trail; escape an unknown one, which could control the terminal."""
    return trail if trail in TRAILS else ascii(trail)
