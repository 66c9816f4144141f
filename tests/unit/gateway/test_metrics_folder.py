"""The folder of several worker processes, with processes that live, end and are killed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from prometheus_client.parser import text_string_to_metric_families

from gateway.metrics import exposition
from gateway.metrics_folder import VARIABLE, MetricsFolder
from serve_app.paths import ROOT

WORKER = """
import os
from gateway.metrics_folder import MetricsFolder
folder = MetricsFolder.join(os.environ)
from prometheus_client import Counter, Gauge
from gateway.metrics import exposition
requests = Counter("requests", "Requests.")
in_flight = Gauge("in_flight", "Requests now.", multiprocess_mode="livesum")
print("up", flush=True)
while True:
    command = input()
    if command == "request":
        requests.inc()
        in_flight.inc()
    print(len(exposition(folder)), flush=True)
"""


COUNTED = ("requests_total", "in_flight")


class Worker:
    """A process that counts, as a worker of the gateway does."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", WORKER],
            env={**os.environ, VARIABLE: str(folder)},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "up\n"

    def request(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print("request", file=self._process.stdin, flush=True)
        assert int(self._process.stdout.readline()) > 0

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def start(tmp_path):
    workers: list[Worker] = []

    def start() -> Worker:
        workers.append(Worker(tmp_path))
        return workers[-1]

    yield start
    for worker in workers:
        worker.kill()


@pytest.fixture
def join(tmp_path):
    """Join the folder under a process id of one's own, until the test ends."""
    folders: list[MetricsFolder] = []

    def join(pid: int) -> MetricsFolder:
        folders.append(MetricsFolder(tmp_path, pid))
        return folders[-1]

    yield join
    for folder in folders:
        folder.leave()


def values(folder: MetricsFolder) -> dict[str, float]:
    families = text_string_to_metric_families(exposition(folder).decode())
    samples = [sample for family in families for sample in family.samples]
    return {sample.name: sample.value for sample in samples if sample.name in COUNTED}


def test_workers_add_up_and_dead_gauges_go(start, join):
    first, second = start(), start()
    folder = join(0)
    for worker in (first, second, second):
        worker.request()
    assert values(folder) == {"requests_total": 3, "in_flight": 3}
    second.kill()
    assert values(folder) == {"requests_total": 3, "in_flight": 1}
    third = start()
    third.request()
    assert values(folder) == {"requests_total": 4, "in_flight": 2}


def test_first_worker_of_start_empties_folder(tmp_path, start, join):
    killed = start()
    killed.request()
    killed.kill()
    (tmp_path / "patients.db").write_bytes(b"something else")
    start()
    assert values(join(0)) == {"requests_total": 0, "in_flight": 0}
    assert (tmp_path / "patients.db").exists()


def test_restarted_worker_of_same_pid_keeps_counts_only(tmp_path, join):
    folder, former = join(1), MetricsFolder(tmp_path, 2)
    for name in ("counter_2.db", "gauge_livesum_2.db", "gauge_mostrecent_2.db"):
        (tmp_path / name).write_bytes(b"x")
    former.leave()
    os.close(os.open(tmp_path / "counter_9.db", os.O_CREAT))  # of a worker that just starts
    join(2)
    names = sorted(Path(file).name for file in folder.files())
    assert names == ["counter_2.db", "gauge_mostrecent_2.db"]


def test_second_gateway_under_same_pid_is_refused(join):
    join(7)
    with pytest.raises(
        ImproperlyConfigured, match=r"PROMETHEUS_MULTIPROC_DIR: .* folder of its own"
    ):
        join(7)


@pytest.mark.parametrize("environment", [{}, {VARIABLE: ""}])
def test_no_folder_without_name(environment):
    assert MetricsFolder.join(environment) is None
    assert environment == {}


def test_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ImproperlyConfigured, match=f"^{VARIABLE}: the folder cannot be used: Not"):
        MetricsFolder.join({VARIABLE: str(tmp_path / "file" / "metrics")})


def test_folder_is_made_for_its_owner_alone(tmp_path):
    folder = MetricsFolder.join({VARIABLE: str(tmp_path / "run" / "metrics")})
    assert folder is not None
    folder.leave()
    assert (tmp_path / "run" / "metrics").stat().st_mode & 0o777 == 0o700
