"""Measure how long usage takes to read over a million records, and what a record's seal costs.

On a database of its own: SQLite, unless DATABASE_URL names another.
"""

import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

from benchmarks.report import NO_TARGET, Figure, Result

DAYS = 365
A_DAY = 2740  # a million in a year
KEYS = 20
_RUNS = 50
SETTINGS = {
    "DJANGO_SETTINGS_MODULE": "gateway.settings",
    "LESIONSERVE_SECRET_KEY": "k" * 50,
    "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
    "LESIONSERVE_AUDIT_KEY": "a" * 32,
}


def run() -> Result:
    """Measure in a process of its own, since the gateway's settings are read once in each."""
    with tempfile.TemporaryDirectory() as folder:
        database = os.environ.get("DATABASE_URL", f"sqlite:///{folder}/gateway.sqlite3")
        output = subprocess.run(
            [sys.executable, "-m", "benchmarks.usage"],
            env={**os.environ, **SETTINGS, "DATABASE_URL": database},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    measurements = [json.loads(line) for line in output.splitlines()]
    figures = [Figure(target, NO_TARGET, measured, None) for target, measured in measurements]
    return Result("usage", figures)


def main() -> None:
    import django

    django.setup()
    # From here on, since models need the settings.
    from django.core.management import call_command

    from gateway.audit.events import COMMAND
    from gateway.people.actions import get_or_add_organisation
    from gateway.usage.summary import rows, summarise
    from gateway.usage.tally import fold

    call_command("migrate", verbosity=0)
    ours = get_or_add_organisation("ours", by=COMMAND)
    first = datetime.now(UTC).date() - timedelta(days=DAYS)
    last = first + timedelta(days=DAYS)
    _measure_rate("records sealed and written, in bulk", lambda: _fill(ours, first))
    _measure_rate("records folded into counts, which happens once", fold)
    _measure_time("/usage/ of a year", lambda: summarise(ours, first, last))
    _measure_time("/usage/ of 30 days", lambda: summarise(ours, last - timedelta(days=30), last))
    _measure_time("/usage/ of a year as CSV", lambda: rows(ours, first, last))
    _measure_records(ours)


def _fill(organisation: Any, first: date) -> None:
    from django.db import transaction

    from gateway.audit.chain import Head
    from gateway.audit.models import REQUESTS, Record

    rng = random.Random(1)
    for number in range(DAYS):
        with transaction.atomic():
            head = Head.locked(REQUESTS, first + timedelta(days=number))
            records = [_record(organisation, rng) for _ in range(A_DAY)]
            for record in records:
                head.append(record)
            Record.objects.bulk_create(records, batch_size=500)
            head.save()


def _record(organisation: Any, rng: random.Random) -> Any:
    from gateway.audit.models import Record

    return Record(
        request_id=uuid4(),
        organisation=organisation,
        state=rng.choices(["succeeded", "rejected", "shed"], [90, 5, 5])[0],
        status=200,
        key_id=f"{rng.randrange(KEYS):012x}",
        latency_ms=rng.lognormvariate(5, 0.6),
        image_format=rng.choice(["JPEG", "PNG"]),
        image_pixels=rng.choice([300_000, 2_000_000, 12_000_000]),
        model_name="demo",
        model_version=rng.choice(["1", "2"]),
        class_counts={"LSIL": rng.randrange(3), "HSIL": rng.randrange(2)},
        score_counts=[rng.randrange(2) for _ in range(10)],
    )


def _measure_records(organisation: Any) -> None:
    from gateway.audit.chain import Head, faults, seal_of
    from gateway.audit.models import Record

    rng = random.Random(2)
    closing = [_record(organisation, rng) for _ in range(_RUNS + 1)]
    opening = [_record(organisation, rng) for _ in range(_RUNS + 1)]
    _measure_time("a request's row, opened", lambda: opening.pop().save(force_insert=True))
    _measure_time("a request's row, closed and sealed", lambda: Record.objects.close(closing.pop()))
    record = _record(organisation, rng)
    _measure_time("the seal of a row alone", lambda: seal_of(record, "0" * 64))
    head = Head.objects.order_by("day")[0]
    _measure_time(f"a day of {A_DAY} rows verified", lambda: list(faults(Record, head)))


def _measure_rate(target: str, call: Callable[[], object]) -> None:
    began = time.perf_counter()
    call()
    seconds = time.perf_counter() - began
    count = DAYS * A_DAY
    _print(target, f"{count} in {seconds:.0f} s, {count / seconds:.0f} a second")


def _measure_time(target: str, call: Callable[[], object]) -> None:
    call()
    taken = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        call()
        taken.append(1000 * (time.perf_counter() - began))
    _print(target, f"{statistics.median(taken):.2f} ms, at most {max(taken):.2f}")


def _print(target: str, measured: str) -> None:
    print(json.dumps([target, measured]), flush=True)


if __name__ == "__main__":
    main()
