"""Faults under load, and then the books: nothing is lost, nothing is answered twice."""

import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import httpx
import pytest

from serve_app.paths import ROOT
from tests.faults.stack import (
    Crowd,
    GatewayProcess,
    compare_books,
    environment,
    finish,
    running,
    statuses,
)
from tests.integration.gateway.conftest import postgres
from tests.integration.gateway.ingress import FakeIngress
from tests.integration.gateway.postgres import Postgres
from tests.integration.gateway.servers import serving
from tests.waiting import until

pytestmark = pytest.mark.faults
CLIENTS = 8

__all__ = ["postgres"]


@pytest.fixture
def upstream() -> Iterator[str]:
    with serving(FakeIngress(), lifespan="off") as port:
        yield f"http://127.0.0.1:{port}"


def test_gateway_killed_repeatedly_loses_no_record(tmp_path, upstream):
    kills = 5
    with running(environment(tmp_path, upstream)) as gateway:
        with Crowd(gateway, CLIENTS) as crowd:
            for _ in range(kills):
                time.sleep(2)
                gateway.kill()
                gateway.start()
            time.sleep(2)
            outcomes = crowd.stop()
        books = compare_books(outcomes, finish(gateway, tmp_path), CLIENTS, kills)
    print("killed:", books, dict(statuses(outcomes)))
    assert books["answers"] > 100
    assert books["lost"] > 0


def test_locked_database_refuses_and_recovers(tmp_path, upstream):
    with running(environment(tmp_path, upstream)) as gateway:
        with Crowd(gateway, CLIENTS) as crowd:
            crowd.wait_for(200)
            with closing(sqlite3.connect(tmp_path / "gateway.sqlite3", timeout=30)) as other:
                other.execute("BEGIN IMMEDIATE")
                crowd.wait_for(503, count=2 * CLIENTS)  # longer than a request waits for it
                other.execute("ROLLBACK")
            crowd.wait_for(200, count=CLIENTS)
            outcomes = crowd.stop()
        books = compare_books(outcomes, finish(gateway, tmp_path), CLIENTS, 0)
    slowest = max(outcomes, key=lambda outcome: outcome.seconds)
    print("locked:", books, dict(statuses(outcomes)), "slowest:", slowest)
    assert set(statuses(outcomes)) == {200, 503}


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    mount = ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can be mounted by root only")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_refuses_and_recovers(tmp_path, upstream):
    folder = tmp_path / "disk"
    folder.mkdir()
    with small_disk(folder), running(environment(folder, upstream)) as gateway:
        with Crowd(gateway, CLIENTS) as crowd:
            crowd.wait_for(200)
            assert ready(gateway) == 200
            filler = folder / "filler"
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 4096)
                except OSError:
                    pass
            crowd.wait_for(503, count=2 * CLIENTS)
            until(lambda: ready(gateway) == 503, 60)
            filler.unlink()
            crowd.wait_for(200, count=CLIENTS)
            until(lambda: ready(gateway) == 200, 60)
            outcomes = crowd.stop()
        books = compare_books(outcomes, finish(gateway, folder), CLIENTS, 0)
    print("full disk:", books, dict(statuses(outcomes)))
    assert set(statuses(outcomes)) == {200, 503}


def ready(gateway: GatewayProcess) -> int:
    return httpx.get(f"{gateway.url}/readyz", timeout=30, trust_env=False).status_code


def test_stopped_database_loses_no_record_of_answer(tmp_path, upstream, postgres: Postgres):
    with running(environment(tmp_path, upstream, DATABASE_URL=postgres.url)) as gateway:
        with Crowd(gateway, CLIENTS) as crowd:
            for mode in ("fast", "immediate"):
                crowd.wait_for(200, count=CLIENTS)
                postgres.run("pg_ctl", "-w", "-m", mode, "stop")
                crowd.wait_for(503, count=CLIENTS)
                postgres.start()
            crowd.wait_for(200, count=CLIENTS)
            outcomes = crowd.stop()
        postgres.run_sql("UPDATE usage_record SET received_at='2020-01-01' WHERE state='received'")
        gateway.manage("sweep_audit")
        gateway.manage("verify_audit")
        output = postgres.run_sql("SELECT request_id, state, status FROM usage_record")
        rows = [
            (request_id, state, int(status) if status else None)
            for request_id, state, status in (line.split("|") for line in output.splitlines())
        ]
        books = compare_books(outcomes, rows, CLIENTS, 0)
    print("PostgreSQL stopped:", books, dict(statuses(outcomes)))
    assert set(statuses(outcomes)) == {200, 503}


def test_hanging_ingress_opens_circuit_and_recovers(tmp_path):
    fake = FakeIngress()
    with serving(fake, lifespan="off") as port:
        settings = environment(tmp_path, f"http://127.0.0.1:{port}", LESIONSERVE_DEADLINE_S="1")
        with running(settings) as gateway:
            with Crowd(gateway, CLIENTS) as crowd:
                crowd.wait_for(200, count=CLIENTS)
                fake.holds = True
                crowd.wait_for(504)
                crowd.wait_for(503, count=10 * CLIENTS)
                fake.holds = False
                crowd.wait_for(200, count=CLIENTS)
                outcomes = crowd.stop()
            books = compare_books(outcomes, finish(gateway, tmp_path), CLIENTS, 0)
    print("hanging:", books, dict(statuses(outcomes)))
    assert set(statuses(outcomes)) == {200, 503, 504}
    # While the circuit is open nobody waits: what is refused was not sent.
    assert statuses(outcomes)[503] >= 10 * CLIENTS > statuses(outcomes)[504]


def test_answer_lost_with_gateway_can_be_replayed(tmp_path):
    """The idempotency key outlives the gateway that was killed with the answer in its hands."""
    fake = FakeIngress()
    asked, goes_on = threading.Event(), threading.Event()

    def answer(sent):
        asked.set()
        goes_on.wait(30)
        return FakeIngress().respond(sent)

    fake.answer = answer
    with serving(fake, lifespan="off") as port:
        settings = environment(tmp_path, f"http://127.0.0.1:{port}", LESIONSERVE_DEADLINE_S="2")
        with running(settings) as gateway:
            lost = threading.Thread(target=lambda: _post_and_lose(gateway))
            lost.start()
            assert asked.wait(30)
            gateway.kill()
            lost.join(30)
            goes_on.set()
            gateway.start()
            for _ in range(100):
                response = _post(gateway)
                if response.status_code != 409:
                    break
                time.sleep(0.2)
            assert response.status_code == 200


def _post(gateway: GatewayProcess) -> httpx.Response:
    return httpx.post(
        f"{gateway.url}/predict/",
        files={"file": ("a.jpg", (ROOT / "weights/example.jpg").read_bytes())},
        headers={"X-API-Key": gateway.key, "Idempotency-Key": "an-image-of-today"},
        timeout=30,
    )


def _post_and_lose(gateway: GatewayProcess) -> None:
    with pytest.raises(httpx.TransportError):
        _post(gateway)
