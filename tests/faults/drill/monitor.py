"""Prometheus and Alertmanager of the drill, which watch a running stack by scaled rules."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from cluster.launcher.monitoring_config import RAY_JOB
from cluster.launcher.ports import choose_ports
from tests.faults.drill.scaled import alertmanager_config, write_rules
from tests.waiting import until

_READY_WITHIN_S = 60
# Of production's 15 s and 30 s. On a busy machine a scrape of Ray takes more than a second.
_SCRAPE, _SCRAPE_RAY, _EVALUATE = "2s", "3s", "1s"


class Monitor:
    """Queries of the drill's Prometheus."""

    def __init__(self, port: int) -> None:
        self._client = httpx.Client(
            base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=30
        )

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = self._client.post("/api/v1/query", data={"query": expression})
        assert answer.status_code == 200, answer.text
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def active(self, severity: str) -> list[str]:
        """Return the alerts of the severity that fire or are pending, with their state."""
        series = self.query(f'ALERTS{{severity="{severity}"}}')
        return sorted(f"{s['metric']['alertname']} {s['metric']['alertstate']}" for s in series)

    def has_all_targets_up(self) -> bool:
        targets = self._client.get("/api/v1/targets").json()["data"]["activeTargets"]
        return bool(targets) and {target["health"] for target in targets} == {"up"}

    def is_ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def monitoring(folder: Path, stack_config: Path, webhook: str) -> Iterator[Monitor]:
    """Watch the stack whose Prometheus has this configuration. Send alerts to the webhook."""
    folder.mkdir()
    port, alertmanager_port = choose_ports([None, None])
    write_rules(folder / "rules")
    alertmanager = folder / "alertmanager.yml"
    alertmanager.write_text(yaml.safe_dump(alertmanager_config(webhook)))
    prometheus = folder / "prometheus.yml"
    config = _prometheus_config(stack_config, folder / "rules", alertmanager_port)
    prometheus.write_text(yaml.safe_dump(config, sort_keys=False))
    monitor = Monitor(port)
    with ExitStack() as running:
        options = [f"--storage.path={folder / 'alerts'}", "--cluster.listen-address="]
        process = _start("prometheus-alertmanager", alertmanager, alertmanager_port, options)
        running.enter_context(process)
        options = [f"--storage.tsdb.path={folder / 'series'}"]
        running.enter_context(_start("prometheus", prometheus, port, options))
        until(monitor.is_ready, _READY_WITHIN_S)
        until(monitor.has_all_targets_up, _READY_WITHIN_S)
        yield monitor


def _prometheus_config(stack_config: Path, rules: Path, alertmanager_port: int) -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(stack_config.read_text())
    config["global"] |= {
        "scrape_interval": _SCRAPE,
        "scrape_timeout": _SCRAPE,
        "evaluation_interval": _EVALUATE,
    }
    for job in config["scrape_configs"]:
        if job["job_name"] == RAY_JOB:
            job |= {"scrape_interval": _SCRAPE_RAY, "scrape_timeout": _SCRAPE_RAY}
    config["rule_files"] = [str(rules / "*.yml")]
    targets = [f"127.0.0.1:{alertmanager_port}"]
    config["alerting"]["alertmanagers"] = [{"static_configs": [{"targets": targets}]}]
    return config


@contextmanager
def _start(program: str, config: Path, port: int, options: list[str]) -> Iterator[None]:
    command = [
        program,
        f"--config.file={config}",
        f"--web.listen-address=127.0.0.1:{port}",
        *options,
    ]
    log = config.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
        assert process.poll() is None, log.read_text()[-2000:]
    finally:
        process.terminate()
        process.wait(30)
