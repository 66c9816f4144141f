"""A real Alertmanager, whose webhook is the gateway."""

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from gateway.audit.models import Event
from gateway.monitor.models import Alert
from tests.integration.gateway.servers import running_gateway

PROGRAM = shutil.which("prometheus-alertmanager")
TOKEN = "a token of alerts, for nothing but tests"
CONFIGURATION = """
route:
  receiver: gateway
  group_by: [alertname]
  group_wait: 100ms
  group_interval: 1s
  repeat_interval: 1s
receivers:
  - name: gateway
    webhook_configs:
      - url: http://127.0.0.1:{port}/operations/alerts
        max_alerts: 100
        http_config:
          authorization:
            credentials: {token}
"""


@contextmanager
def alertmanager(folder: Path, gateway_port: int) -> Iterator[str]:
    """The address of a running Alertmanager that sends to the gateway."""
    assert PROGRAM is not None
    configuration = folder / "alertmanager.yml"
    configuration.write_text(CONFIGURATION.format(port=gateway_port, token=TOKEN))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [PROGRAM, f"--config.file={configuration}", f"--storage.path={folder}/data",
             f"--web.listen-address={address}", "--cluster.listen-address="],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        wait_for(lambda: is_ready(f"http://{address}"), folder)
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait(30)


def is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", trust_env=False).status_code == 200
    except httpx.TransportError:
        return False


def wait_for(condition, folder: Path) -> None:
    for _ in range(600):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError((folder / "log").read_text()[-3000:])


def fire(url: str, ends_at: datetime) -> None:
    alert = {
        "labels": {"alertname": "LesionserveProbeFailing", "severity": "page", "job": "x"},
        "annotations": {"summary": "The last 3 probes failed", "description": "More."},
        "startsAt": "2026-11-26T08:00:00.123456789Z",
        "endsAt": ends_at.isoformat(),
        "generatorURL": "http://prometheus.example",
    }
    answer = httpx.post(f"{url}/api/v2/alerts", content=json.dumps([alert]), trust_env=False,
                        headers={"Content-Type": "application/json"})  # fmt: skip
    assert answer.status_code == 200, answer.text


@pytest.mark.skipif(PROGRAM is None, reason="Debian: prometheus-alertmanager")
def test_alert_of_real_alertmanager_fires_and_is_resolved(transactional_db, tmp_path: Path):
    now = datetime.now(UTC)
    with (
        running_gateway(ALERTS_TOKEN=TOKEN) as gateway,
        alertmanager(tmp_path, gateway.port) as url,
    ):
        fire(url, now + timedelta(hours=1))
        wait_for(Alert.objects.exists, tmp_path)
        first = Alert.objects.get().last_seen
        wait_for(lambda: Alert.objects.get().last_seen > first, tmp_path)  # sent again
        fire(url, datetime.now(UTC))
        wait_for(Alert.objects.exclude(resolved=None).exists, tmp_path)
    row = Alert.objects.get()
    assert (row.name, row.severity) == ("LesionserveProbeFailing", "page")
    assert row.summary == "The last 3 probes failed"
    assert (row.started.second, row.started.microsecond) == (0, 123456)
    actions = Event.objects.order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["alert.fired", "alert.resolved"]
