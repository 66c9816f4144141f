"""The gateway with two worker processes, whose metrics are one answer."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import psutil
import pytest

from gateway.audit.models import State
from gateway.metrics_folder import VARIABLE
from pipeline.errors import LesionserveError
from serve_app.paths import ROOT
from tests.integration.gateway.client import Gateway, form, jpeg, part
from tests.integration.gateway.databases import Database, Databases
from tests.integration.gateway.ingress import FakeIngress

PREFIX = "lesionserve_gateway_"


class Service:
    """`uvicorn --workers 2` on a database and a metrics folder of its own."""

    def __init__(self, folder: Path, database: Database, upstream: int) -> None:
        self.metrics = folder / "metrics"
        self._environment = {
            "PATH": os.environ["PATH"],
            "LESIONSERVE_SECRET_KEY": "k" * 50,
            "LESIONSERVE_SERVICE_TOKEN": "t" * 32,
            "LESIONSERVE_AUDIT_KEY": "a" * 32,
            "LESIONSERVE_HTTPS_ONLY": "false",
            "LESIONSERVE_MAX_IN_FLIGHT": "7",
            "LESIONSERVE_UPSTREAM_URL": f"http://127.0.0.1:{upstream}",
            "DATABASE_URL": database.url,
            VARIABLE: str(self.metrics),
        }
        self.key = f"X-API-Key: {self.manage('issue_key', '--name', 'a clinic').strip()}"
        self.process: subprocess.Popen[bytes] | None = None

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "gateway.manage", *arguments]
        return subprocess.run(
            command, env=self._environment, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
        ).stdout

    def start(self) -> Gateway:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", "gateway.asgi:application", "--workers", "2"]
        command += ["--port", str(port), "--http", "gateway.protocol:GatewayProtocol"]
        command += ["--ws", "none", "--lifespan", "on", "--no-access-log"]
        # A busy machine must not take a worker for dead.
        command += ["--timeout-worker-healthcheck", "60", "--timeout-graceful-shutdown", "5"]
        self.process = subprocess.Popen(command, env=self._environment, cwd=ROOT)
        gateway = Gateway(port)
        wait_until(lambda: len(self.workers()) == 2)
        wait_until(lambda: scraped(gateway).get("max_in_flight") == 14)
        return gateway

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes that have joined the metrics folder."""
        assert self.process is not None
        assert self.process.poll() is None, "the gateway has ended"
        children = psutil.Process(self.process.pid).children()
        return [child for child in children if (self.metrics / f"worker_{child.pid}.lock").exists()]

    def stop(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(30)


def wait_until(condition: Callable[[], bool], within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(0.05)


def scraped(gateway: Gateway) -> dict[str, float]:
    """Return the gateway's own series; none while it does not answer."""
    try:
        response = gateway.get("/metrics")
    except OSError:
        return {}
    assert response.status == 200, response.body
    lines = re.findall(rf"^{PREFIX}(\S+) (\S+)$", response.body.decode(), re.MULTILINE)
    return {series: float(value) for series, value in lines}


@pytest.fixture
def service(tmp_path: Path, of_sqlite: Databases, ingress: FakeIngress) -> Iterator[Service]:
    service = Service(tmp_path, of_sqlite.empty(), ingress.port)
    yield service
    service.stop()


def codes(error: type[LesionserveError] = LesionserveError) -> set[str]:
    return {error.code}.union(*(codes(branch) for branch in error.__subclasses__()))


def test_series_exist_before_first_request(service: Service):
    series = scraped(service.start())
    zero = {
        f'{name}{{outcome="{state}",source="{source}"}}'
        for name in ("requests_total", "latency_seconds_count", "latency_seconds_sum")
        for state in State
        if state != "received"
        for source in ("client", "probe")
    }
    zero |= {f'errors_total{{code="{code}"}}' for code in codes()}
    zero |= {f'upstream_seconds_count{{result="{r}"}}' for r in ("answered", "refused", "lost")}
    zero |= {
        f'stage_seconds_count{{stage="{s}"}}' for s in ("preprocess", "predictor", "postprocess")
    }
    zero |= {
        f'rate_limited_total{{limit="{limit}"}}'
        for limit in ("caller", "organisation", "failures", "quota")
    }
    zero |= {
        f"{name}_total"
        for name in (
            *("replays", "retries", "retries_over_budget", "limiter_failures"),
            *("refused_credentials", "database_errors"),
        )
    }
    zero |= {"in_flight", "circuit_open", "queue_wait_seconds_count"}
    assert {name: series.get(name) for name in zero} == dict.fromkeys(zero, 0.0)


SUCCEEDED = 'requests_total{outcome="succeeded",source="client"}'
REJECTED = 'requests_total{outcome="rejected",source="client"}'


def test_two_workers_answer_with_one_sum(service: Service, ingress: FakeIngress):
    gateway = service.start()
    image = form(part(jpeg()))
    for _ in range(20):
        assert gateway.predict(image, service.key).status == 200
        assert gateway.predict(image).status == 401
    shown = [scraped(gateway) for _ in range(10)]
    assert {series[SUCCEEDED] for series in shown} == {20}
    assert {series[REJECTED] for series in shown} == {20}
    assert {series['detections_total{label="HSIL"}'] for series in shown} == {20}
    assert {series['detections_total{label="LSIL"}'] for series in shown} == {0}
    assert {series["refused_credentials_total"] for series in shown} == {20}
    assert {series["max_in_flight"] for series in shown} == {14}
    assert {series["audit_intact"] for series in shown} == {1}
    info = [name for name in shown[0] if name.startswith("info{")]
    assert [shown[0][name] for name in info] == [1]

    files = sorted(service.metrics.iterdir())
    service.manage("verify_audit")
    assert sorted(service.metrics.iterdir()) == files, "a command adds no values"


def test_killed_worker_leaves_counts_and_no_gauges(service: Service, ingress: FakeIngress):
    gateway = service.start()
    image = form(part(jpeg()))
    for _ in range(5):
        assert gateway.predict(image, service.key).status == 200

    ingress.holds = True
    requests = [threading.Thread(target=hold, args=(gateway, image, service.key)) for _ in range(6)]
    for request in requests:
        request.start()
    wait_until(lambda: scraped(gateway)["in_flight"] == 6)
    for worker in service.workers():
        worker.kill()
        wait_until(lambda worker=worker: service_is_back(service, gateway, worker))
        wait_until(
            lambda: scraped(gateway)["in_flight"] == sum(thread.is_alive() for thread in requests)
        )
        assert scraped(gateway)[SUCCEEDED] == 5
    assert scraped(gateway)["in_flight"] == 0

    ingress.holds = False
    assert gateway.predict(image, service.key).status == 200
    assert scraped(gateway)[SUCCEEDED] == 6


def hold(gateway: Gateway, image: bytes, key: str) -> None:
    """Send a request that ends with its worker."""
    with suppress(OSError, HTTPException):
        gateway.predict(image, key)


def service_is_back(service: Service, gateway: Gateway, killed: psutil.Process) -> bool:
    pids = {worker.pid for worker in service.workers()}
    is_whole = len(pids) == 2 and killed.pid not in pids
    return is_whole and scraped(gateway).get("max_in_flight") == 14


def test_restarted_service_starts_at_zero(service: Service, ingress: FakeIngress):
    gateway = service.start()
    assert gateway.predict(form(part(jpeg())), service.key).status == 200
    assert scraped(gateway)[SUCCEEDED] == 1
    service.stop()
    assert scraped(service.start())[SUCCEEDED] == 0
