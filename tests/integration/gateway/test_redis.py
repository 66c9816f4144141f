"""Rate limits that several workers share, on a Redis server that is started here."""

import asyncio
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from prometheus_client import REGISTRY

from cluster.launcher.ports import choose_ports
from gateway.access.limits import Limiter
from tests.unit.gateway.access.test_limits import RATES, caller, count_accepted

ALARMS = "lesionserve_gateway_limiter_failures_total"


@contextmanager
def running_redis(port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("Redis is not installed (Debian: redis-server)")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    server = subprocess.Popen([program, *options], stdout=subprocess.DEVNULL)
    try:
        with redis.Redis(port=port, retry=None) as client:
            for _ in range(1000):
                try:
                    client.ping()
                    break
                except redis.ConnectionError:
                    assert server.poll() is None
        yield server
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def port() -> int:
    return choose_ports([None])[0]


@pytest.fixture
def url(port: int, tmp_path: Path) -> Iterator[str]:
    with running_redis(port, tmp_path):
        yield f"redis://127.0.0.1:{port}"


async def test_workers_share_rate_limits(url: str):
    workers = [Limiter(RATES, url) for _ in range(4)]
    let_in = await asyncio.gather(*(count_accepted(worker, caller(), 10) for worker in workers))
    assert sum(let_in) == RATES.caller


async def test_workers_share_organisation_rate_limits(url: str):
    workers = [Limiter(RATES, url) for _ in range(4)]
    let_in = await asyncio.gather(
        *(count_accepted(worker, caller(str(number)), 5) for number, worker in enumerate(workers))
    )
    assert sum(let_in) == RATES.organisation


async def test_limits_hold_without_redis_and_are_shared_again(
    port: int, tmp_path: Path, monkeypatch
):
    monkeypatch.setattr("gateway.access.limits._REDIS_AGAIN_AFTER_S", 0)
    worker, other = (Limiter(RATES, f"redis://127.0.0.1:{port}") for _ in range(2))
    with running_redis(port, tmp_path):
        assert await count_accepted(worker, caller("before"), 10) == 5
    before = REGISTRY.get_sample_value(ALARMS) or 0
    assert await count_accepted(worker, caller("between"), 10) == 5
    assert (REGISTRY.get_sample_value(ALARMS) or 0) > before
    with running_redis(port, tmp_path):
        assert await count_accepted(worker, caller("after"), 10) == 5
        assert await count_accepted(other, caller("after"), 10) == 0
