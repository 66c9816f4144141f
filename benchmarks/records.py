"""Measure how many audit records a second one database takes, how large they are, and what the
observation beside a record costs.

Each image opens a record and closes it with a seal, in two transactions; sealing is one at a time
over all gateways. On a database of its own: SQLite, unless DATABASE_URL names another.
"""

import os
import subprocess
import sys
import tempfile
import time
from statistics import median
from typing import Any
from uuid import uuid4

from benchmarks.decode import encoded_scene
from benchmarks.report import NO_TARGET, Figure, Result
from benchmarks.usage import SETTINGS
from pipeline.bundle.bundle import open_bundle
from pipeline.schemas import PredictOptions
from serve_app.paths import ROOT

DEMO = ROOT / "weights/demo"
_SECONDS = 10
_PROCESSES = (1, 2, 4, 8)
_ROUNDS, _RECORDS = 9, 200  # of the cost
_OBSERVATION_MS = 5.0


def run() -> Result:
    """Measure with several processes at once, as several gateways would."""
    with tempfile.TemporaryDirectory() as folder:
        url = os.environ.get("DATABASE_URL", f"sqlite:///{folder}/gateway.sqlite3")
        environment = {**os.environ, **SETTINGS, "DATABASE_URL": url}
        _output(_start(environment, "prepare"))
        rates = {count: _rate(environment, count) for count in _PROCESSES}
        size = float(_output(_start(environment, "size")))
        observation_ms = float(_output(_start(environment, "cost")))
    figures = [
        Figure(f"records a second, {count} processes", NO_TARGET, f"{rate:.0f}", None)
        for count, rate in rates.items()
    ]
    figures.append(Figure("bytes of a record, with its indexes", NO_TARGET, f"{size:.0f}", None))
    figures.append(
        Figure(
            "an observation beside its record, ms of a core",
            f"<= {_OBSERVATION_MS:g}",
            f"{observation_ms:.2f}",
            observation_ms <= _OBSERVATION_MS,
        )
    )
    details = {"rates": rates, "bytes": size, "observation_ms": observation_ms}
    return Result("records", figures, details)


def _rate(environment: dict[str, str], processes: int) -> float:
    """Return the records a second of all processes together."""
    writers = [_start(environment, "write") for _ in range(processes)]
    for writer in writers:
        assert writer.stdout is not None
        writer.stdout.readline()  # it is ready
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    return sum(int(_output(writer)) for writer in writers) / _SECONDS


def _start(environment: dict[str, str], what: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.records", what],
        env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def _output(process: "subprocess.Popen[str]") -> str:
    output, _ = process.communicate()
    if process.returncode:
        raise RuntimeError(f"ended with {process.returncode}")
    return output


def main() -> None:
    import django

    django.setup()
    actions = {"prepare": _prepare, "write": _write, "size": _print_size, "cost": _print_cost}
    actions[sys.argv[1]]()


def _prepare() -> None:
    from django.core.management import call_command

    from gateway.audit.events import COMMAND
    from gateway.people.actions import get_or_add_organisation

    call_command("migrate", verbosity=0)
    get_or_add_organisation("ours", by=COMMAND)


def _write() -> None:
    """Open and close records for some seconds, and print how many."""
    from gateway.audit.models import Record
    from gateway.people.models import Organisation

    organisation = Organisation.objects.get(name="ours")
    print("ready", flush=True)
    sys.stdin.readline()
    ends_at = time.perf_counter() + _SECONDS
    count = 0
    while time.perf_counter() < ends_at:
        record = _record(organisation)
        record.save(force_insert=True)
        record.state = "succeeded"
        assert Record.objects.close(record)
        count += 1
    print(count)


def _record(organisation: Any) -> Any:
    from gateway.audit.models import Record

    return Record(
        request_id=uuid4(),
        organisation=organisation,
        status=200,
        key_id="0" * 12,
        latency_ms=150.0,
        image_format="JPEG",
        image_pixels=1_228_800,
        model_name="cervix",
        model_version="1",
        class_counts={"LSIL": 1, "HSIL": 2, "carcinoma": 0},
        score_counts=[0] * 10,
    )


def _print_size() -> None:
    """Print the bytes of a record: of the table with its indexes, or of the whole SQLite file."""
    from django.db import connection

    from gateway.audit.models import Record

    table = Record._meta.db_table
    statement = (
        f"SELECT pg_total_relation_size('{table}')"
        if connection.vendor == "postgresql"
        else "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
    )
    with connection.cursor() as cursor:
        cursor.execute(statement)
        (size,) = cursor.fetchone()
    print(size / Record.objects.count())


def _print_cost() -> None:
    """Print the milliseconds of a core by which a record takes longer with an observation."""
    from gateway.people.models import Organisation

    organisation = Organisation.objects.get(name="ours")
    bundle = open_bundle(DEMO)
    predictor = bundle.predictor(bundle.load_engine("auto", "cpu"))
    prediction = predictor(encoded_scene(), PredictOptions())
    spent: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(_ROUNDS):
        for observed, column in spent.items():
            column.append(_core_ms(organisation, prediction if observed else None))
    print(median(spent[True]) - median(spent[False]))


def _core_ms(organisation: Any, prediction: Any) -> float:
    from django.utils import timezone

    from gateway.audit.models import Record
    from gateway.usage.observations import observation_of

    began = time.process_time()
    for _ in range(_RECORDS):
        record = _record(organisation)
        record.state, record.finished_at = "succeeded", timezone.now()
        row = None if prediction is None else observation_of(record, prediction, "0" * 32)
        assert Record.objects.close(record, row)
    return (time.process_time() - began) / _RECORDS * 1000


if __name__ == "__main__":
    main()
