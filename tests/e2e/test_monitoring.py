"""Test `lesionserve up --monitoring` with real programs, beside a stack that has been under load.

Every expression of every dashboard and rule has data there. The tests share one stack; the last one
kills the two programs, and the stack.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator

import httpx
import pytest
import yaml

from cluster.monitoring.grafana.boards import BOARDS
from serve_app.paths import ROOT
from tests.e2e.monitored import Monitored, monitored
from tests.e2e.up import STOP_WITHIN_S
from tests.waiting import until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
        reason="needs Debian's packages prometheus and prometheus-alertmanager",
    ),
]

RULES = ROOT / "cluster/monitoring/rules"
WITHIN_S = 120.0
SENT_WITHIN_S = 240  # what fires before Alertmanager is known is sent again a minute later

# Series that a healthy stack of the local profile does not have, with what brings them. The faults
# of tests/faults show the second kind.
NOT_HERE = {
    "ray_serve_autoscaling_target_replicas": "no deployment of the profile is autoscaled",
    "ray_node_gpus_utilization": "there is no GPU",
    "ray_node_gram_used": "there is no GPU",
}


def panel_expressions() -> dict[str, str]:
    return {
        f"{board.title}: {panel.title}, {legend}": expression
        for board in BOARDS
        for panel in board.panels
        for legend, expression in panel.queries.items()
        if not any(metric in expression for metric in NOT_HERE)
    }


def recorded_series() -> list[str]:
    groups = [
        group
        for path in sorted(RULES.glob("*.yml"))
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    ]
    return [rule["record"] for group in groups for rule in group["rules"] if "record" in rule]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Monitored]:
    with monitored(tmp_path_factory.mktemp("monitored")) as stack:
        yield stack


def test_addresses_are_printed_and_in_ready_file(stack: Monitored) -> None:
    prometheus, alertmanager = (f"http://127.0.0.1:{port}" for port in stack.ports)
    assert stack.ready.prometheus == prometheus
    assert stack.ready.alertmanager == alertmanager
    assert f"Prometheus       {prometheus}" in stack.up.output
    assert f"Alertmanager     {alertmanager}" in stack.up.output


def test_all_targets_are_up(stack: Monitored) -> None:
    until(lambda: {target["health"] for target in stack.targets()} == {"up"}, WITHIN_S)
    jobs = sorted(target["labels"]["job"] for target in stack.targets())
    assert jobs == ["lesionserve-gateway", "lesionserve-ray", "lesionserve-ray"]


def test_every_rule_is_evaluated_without_error(stack: Monitored) -> None:
    until(lambda: all(rule["health"] == "ok" for rule in stack.rules()), WITHIN_S)
    assert [rule["name"] for rule in stack.rules() if "lastError" in rule] == []
    assert len(stack.rules()) > 50


def test_every_panel_has_data(stack: Monitored) -> None:
    empty = panel_expressions()

    def all_have_data() -> bool:
        for name, expression in list(empty.items()):
            if stack.query(expression):
                del empty[name]
        return not empty

    until_or_last(all_have_data)
    assert empty == {}


def test_every_recording_rule_has_data(stack: Monitored) -> None:
    names = recorded_series()
    assert names
    until_or_last(lambda: all(stack.query(name) for name in names))
    assert [name for name in names if not stack.query(name)] == []


def test_every_deployment_is_healthy_by_its_metric(stack: Monitored) -> None:
    healthy = 'ray_serve_deployment_status{job="lesionserve-ray"} == 6'
    until(lambda: stack.query(healthy) != [], WITHIN_S)
    assert stack.query('ray_serve_deployment_replica_healthy{job="lesionserve-ray"} == 1')
    assert stack.query('ray_serve_replica_startup_latency_ms_count{job="lesionserve-ray"}')


def test_healthy_stack_fires_watchdog_alone(stack: Monitored) -> None:
    alerts = stack.get("alerts")["alerts"]
    firing = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
    assert firing == {"LesionserveWatchdog"}


def test_watchdog_reaches_alertmanager(stack: Monitored) -> None:
    def names() -> set[str]:
        alerts = httpx.get(f"{stack.ready.alertmanager}/api/v2/alerts", trust_env=False).json()
        return {alert["labels"]["alertname"] for alert in alerts}

    until(lambda: "LesionserveWatchdog" in names(), SENT_WITHIN_S)


def test_queries_of_runbooks_run(stack: Monitored) -> None:
    text = (ROOT / "docs/runbooks.md").read_text().replace("\\\n", "")
    commands = re.findall(r"^promtool query .*", text, re.MULTILINE)
    assert len(commands) > 20
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command],
            env={**os.environ, "PROM": str(stack.ready.prometheus)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, (command, done.stderr)


def test_token_of_alertmanager_is_secret(stack: Monitored) -> None:
    (path,) = stack.up.temp.glob("ls-*/monitoring/alerts.token")
    token = path.read_text()
    assert len(token) >= 32
    assert path.stat().st_mode & 0o077 == 0
    assert token not in stack.up.output


def test_stack_survives_its_monitoring_and_leaves_nothing(stack: Monitored) -> None:
    for name in ("Prometheus", "Alertmanager"):
        process = stack.up.process_of(name)
        process.kill()
        line = f"{name} died; predictions go on without it (pid {process.pid})"
        until(lambda line=line: line in stack.up.output, 10)
    assert stack.up.post().status_code == 200
    processes = stack.up.processes()
    stack.up.process.terminate()
    stack.up.process.wait(STOP_WITHIN_S)
    assert [p for p in processes if p.is_running() and p.status() != "zombie"] == []
    kept = {path.name for path in (stack.data / "monitoring").iterdir()}
    assert kept == {"prometheus", "alertmanager"}


def until_or_last(holds: Callable[[], bool]) -> None:
    """Wait until it holds, at most WITHIN_S; the caller's own assertion says what is missing."""
    try:
        until(holds, WITHIN_S)
    except AssertionError:
        return
