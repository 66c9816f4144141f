"""The whole stack on a real Ray Serve, its processes killed and its model rolled under load."""

import os
import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing, suppress
from pathlib import Path

import httpx
import psutil
import pytest

from benchmarks.stub import Spec
from tests.faults.stack import (
    Crowd,
    GatewayProcess,
    compare_books,
    finish,
    processes_of,
    statuses,
    whole_stack,
)
from tests.waiting import until

pytestmark = pytest.mark.faults
CLIENTS = 8


def attempts(folder: Path) -> Counter[int]:
    """Of the requests that succeeded."""
    with closing(sqlite3.connect(folder / "gateway.sqlite3")) as database:
        rows = database.execute("SELECT attempts FROM usage_record WHERE state = 'succeeded'")
        return Counter(number for (number,) in rows)


@pytest.mark.parametrize(
    ("layout", "role"),
    [
        ("fused", "a replica of LesionService"),
        ("staged", "a replica of Ingress"),
        ("staged", "a replica of Predictor"),
        ("staged", "a replica of Postprocess"),
    ],
)
def test_killed_replicas_lose_no_request(tmp_path, layout, role):
    kills = 5
    two = {"num_replicas": 2}
    spec = Spec(layout=layout, replicas=(2,), stages=two, ingress=two)
    with whole_stack(tmp_path, spec) as (service, gateway):
        with Crowd(gateway, CLIENTS) as crowd:
            for _ in range(kills):
                until(lambda: len(processes_of(service, role)) == 2, 60)
                time.sleep(4)
                processes_of(service, role)[0].kill()
                time.sleep(2)
            time.sleep(8)
            outcomes = crowd.stop()
        books = compare_books(outcomes, finish(gateway, tmp_path), CLIENTS, 0)
    print(f"{layout}, {role} killed:", books, dict(statuses(outcomes)), dict(attempts(tmp_path)))
    assert set(statuses(outcomes)) <= {200, 503}
    assert outcomes[-1].status == 200
    assert books["lost"] == 0


def test_service_recovers_from_killed_proxy_and_controller(tmp_path):
    with whole_stack(tmp_path, Spec(replicas=(2,))) as (service, gateway):
        with Crowd(gateway, CLIENTS) as crowd:
            time.sleep(4)
            processes_of(service, "the Serve proxy")[0].kill()
            time.sleep(20)
            processes_of(service, "the Serve controller")[0].kill()
            time.sleep(20)
            outcomes = crowd.stop()
        books = compare_books(outcomes, finish(gateway, tmp_path), CLIENTS, 0)
    print("proxy and controller killed:", books, dict(statuses(outcomes)))
    assert set(statuses(outcomes)) <= {200, 502, 503}
    assert outcomes[-1].status == 200


def test_gateway_survives_loss_of_ray_head_and_all_of_ray(tmp_path):
    with whole_stack(tmp_path, Spec()) as (service, gateway):
        graph = psutil.Process(service.pid).children(recursive=True)
        with Crowd(gateway, CLIENTS) as crowd:
            time.sleep(4)
            for role in ("Ray's head (gcs_server)", "Ray's node manager (raylet)"):
                processes_of(service, role)[0].kill()
            time.sleep(10)
            without_head = statuses(crowd.outcomes)
            for process in [*graph, psutil.Process(service.pid)]:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            until(lambda: _readiness(gateway) == 503, 60)
            time.sleep(5)
            outcomes = crowd.stop()
        assert httpx.get(f"{gateway.url}/healthz").status_code == 200
        books = compare_books(outcomes, finish(gateway, tmp_path), CLIENTS, 0)
    print("Ray's head killed:", dict(without_head), "then all:", books, dict(statuses(outcomes)))
    assert set(without_head) == {200}
    assert set(statuses(outcomes)) <= {200, 502, 503}
    assert outcomes[-1].status == 503


def _readiness(gateway: GatewayProcess) -> int:
    return httpx.get(f"{gateway.url}/readyz", timeout=10).status_code


@pytest.mark.parametrize("layout", ["fused", "staged"])
def test_new_model_rolls_in_under_load_without_refusal(tmp_path, layout):
    surging = {"max_surge_percent": 100}
    spec = Spec(layout=layout, replicas=(1,), predictor=surging, stages=surging, ingress=surging)
    with whole_stack(tmp_path, spec) as (service, gateway):
        with Crowd(gateway, CLIENTS) as crowd:
            time.sleep(4)
            for version in (2, 3):
                os.kill(service.pid, signal.SIGHUP)
                until(lambda version=version: service.states[-1].version == version, 120)
                time.sleep(4)
            outcomes = crowd.stop()
        books = compare_books(outcomes, finish(gateway, tmp_path), CLIENTS, 0)
        with closing(sqlite3.connect(tmp_path / "gateway.sqlite3")) as database:
            rows = database.execute("SELECT model_version FROM usage_record ORDER BY received_at")
            versions = [version for (version,) in rows]
    print(f"{layout}, rolled twice:", books, dict(statuses(outcomes)), dict(Counter(versions)))
    assert set(statuses(outcomes)) == {200}
    assert (versions[0], versions[-1]) == ("1", "3")
    assert set(versions) == {"1", "2", "3"}
