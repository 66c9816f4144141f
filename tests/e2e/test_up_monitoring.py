"""`lesionserve up --monitoring`: real Prometheus and Alertmanager beside the running stack."""

import json
import os
import re
import shutil
import subprocess
from typing import Any

import httpx
import pytest

from cluster.launcher.ports import choose_ports
from serve_app.paths import ROOT
from tests.e2e.up import STOP_WITHIN_S, Up, running, until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
        reason="needs Debian's packages prometheus and prometheus-alertmanager",
    ),
]
SCRAPED_WITHIN_S = 120
SENT_WITHIN_S = 240  # what fires before Alertmanager is known is sent again a minute later


def test_up_monitors_itself_over_https(tmp_path):
    prometheus_port, alertmanager_port = choose_ports([None, None])
    options = ["--prometheus-port", prometheus_port, "--alertmanager-port", alertmanager_port]
    with running(tmp_path, "--tls", "--monitoring", *map(str, options)) as up:
        ready = json.loads(up.ready_file.read_text())
        assert ready["prometheus"] == f"http://127.0.0.1:{prometheus_port}"
        assert ready["alertmanager"] == f"http://127.0.0.1:{alertmanager_port}"
        assert f"Prometheus       {ready['prometheus']}" in up.output
        assert f"Alertmanager     {ready['alertmanager']}" in up.output
        assert up.post().status_code == 200

        prometheus = Prometheus(ready["prometheus"])
        until(prometheus.has_all_targets_up, SCRAPED_WITHIN_S)
        assert prometheus.jobs() == ["lesionserve-gateway", "lesionserve-ray", "lesionserve-ray"]
        assert_rules_work(prometheus)
        assert_series_of_rules_exist(prometheus)
        assert_watchdog_reaches_alertmanager(ready["alertmanager"])
        assert_queries_of_runbooks_run(ready["prometheus"])
        assert_alerts_need_the_token(up)
        assert_death_is_survived(up)
        processes = up.processes()
        up.process.terminate()
        up.process.wait(STOP_WITHIN_S)
        assert [p for p in processes if p.is_running() and p.status() != "zombie"] == []
    kept = {path.name for path in (tmp_path / "data" / "monitoring").iterdir()}
    assert kept == {"prometheus", "alertmanager"}


class Prometheus:
    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=30)

    def get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(f"/api/v1/{path}", params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        result: list[dict[str, Any]] = self.get("query", query=expr)["result"]
        return result

    def has_all_targets_up(self) -> bool:
        targets = self.get("targets")["activeTargets"]
        return bool(targets) and {target["health"] for target in targets} == {"up"}

    def jobs(self) -> list[str]:
        targets = self.get("targets")["activeTargets"]
        return sorted(target["labels"]["job"] for target in targets)


def assert_rules_work(prometheus: Prometheus) -> None:
    """Each rule is loaded, and has been evaluated without an error."""

    def rules() -> list[dict[str, Any]]:
        groups = prometheus.get("rules")["groups"]
        return [rule for group in groups for rule in group["rules"]]

    until(lambda: all(rule["health"] == "ok" for rule in rules()), SCRAPED_WITHIN_S)
    assert [rule["name"] for rule in rules() if "lastError" in rule] == []
    assert len(rules()) > 50


def assert_series_of_rules_exist(prometheus: Prometheus) -> None:
    for metric in (
        "lesionserve_gateway_requests_total",
        "ray_serve_deployment_status",
        "ray_serve_deployment_replica_healthy",
        "ray_serve_autoscaling_target_replicas",
        "ray_serve_replica_startup_latency_ms_count",
    ):
        until(lambda m=metric: prometheus.query(f'{m}{{job=~"lesionserve-.*"}}'), SCRAPED_WITHIN_S)
    assert prometheus.query('ray_serve_deployment_status{job="lesionserve-ray"} == 6')


def assert_watchdog_reaches_alertmanager(url: str) -> None:
    def names() -> set[str]:
        alerts = httpx.get(f"{url}/api/v2/alerts", trust_env=False).json()
        return {alert["labels"]["alertname"] for alert in alerts}

    until(lambda: "LesionserveWatchdog" in names(), SENT_WITHIN_S)


def assert_queries_of_runbooks_run(url: str) -> None:
    text = (ROOT / "docs/runbooks.md").read_text().replace("\\\n", "")
    commands = re.findall(r"^promtool query .*", text, re.MULTILINE)
    assert len(commands) > 20
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "PROM": url},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (command, done.stderr)


def assert_alerts_need_the_token(up: Up) -> None:
    """The gateway's token for Alertmanager is new with each start, and in no log."""
    (path,) = up.temp.glob("ls-*/monitoring/alerts.token")
    token = path.read_text()
    assert len(token) >= 32
    assert path.stat().st_mode & 0o077 == 0
    assert token not in up.output


def assert_death_is_survived(up: Up) -> None:
    for name in ("Prometheus", "Alertmanager"):
        process = up.process_of(name)
        process.kill()
        line = f"{name} died; predictions go on without it (pid {process.pid})"
        until(lambda line=line: line in up.output, 10)
    assert up.post().status_code == 200
