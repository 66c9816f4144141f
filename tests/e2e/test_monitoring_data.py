"""Every expression of every dashboard and rule, asked of a Prometheus that watches a real stack."""

import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import httpx
import pytest
import yaml

from cluster.launcher.ports import choose_ports
from cluster.launcher.ready_file import Ready
from cluster.monitoring.grafana.boards import BOARDS
from serve_app.paths import ROOT
from tests.e2e.up import IMAGE, Up, running, until

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        shutil.which("prometheus") is None or shutil.which("prometheus-alertmanager") is None,
        reason="needs Debian's packages prometheus and prometheus-alertmanager",
    ),
]

RULES = ROOT / "cluster/monitoring/rules"
LOAD_S = 40.0  # longer than several scrapes, so that every rate has two samples
WITHIN_S = 120.0

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
def prometheus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A Prometheus that has watched a stack under load, and with some requests refused."""
    ports = map(str, choose_ports([None, None]))
    options = [*zip(("--prometheus-port", "--alertmanager-port"), ports, strict=True)]
    folder = tmp_path_factory.mktemp("monitored")
    with running(folder, "--tls", "--monitoring", *chain.from_iterable(options)) as up:
        ready = Ready.model_validate_json(up.ready_file.read_bytes())
        assert ready.prometheus is not None
        load(up)
        with httpx.Client(base_url=ready.prometheus, timeout=30, trust_env=False) as client:
            yield client


def load(up: Up) -> None:
    ends_at = time.monotonic() + LOAD_S
    with ThreadPoolExecutor(3) as threads:
        while time.monotonic() < ends_at:
            answers = list(threads.map(lambda _: up.post().status_code, range(3)))
            assert set(answers) <= {200, 503}
            up.post(b"just text")
            up.post(IMAGE, key=up.key[:-1] + "x")
            time.sleep(0.5)


def ask(prometheus: httpx.Client, expression: str) -> list[dict]:
    expression = expression.replace("$__rate_interval", "1m")
    response = prometheus.post("/api/v1/query", data={"query": expression})
    assert response.status_code == 200, f"{expression}: {response.text}"
    return response.json()["data"]["result"]


def test_every_panel_has_data(prometheus: httpx.Client) -> None:
    expressions = panel_expressions()
    empty = dict(expressions)

    def all_have_data() -> bool:
        for name, expression in list(empty.items()):
            if ask(prometheus, expression):
                del empty[name]
        return not empty

    until_or_last(all_have_data)
    assert empty == {}


def test_every_recording_rule_has_data(prometheus: httpx.Client) -> None:
    names = recorded_series()
    assert names
    until_or_last(lambda: all(ask(prometheus, name) for name in names))
    assert [name for name in names if not ask(prometheus, name)] == []


def test_every_rule_is_evaluated_without_error(prometheus: httpx.Client) -> None:
    groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
    rules = [rule for group in groups for rule in group["rules"]]
    assert rules
    assert {
        rule["name"]: rule.get("lastError", "") for rule in rules if rule["health"] != "ok"
    } == {}


def test_healthy_stack_fires_watchdog_alone(prometheus: httpx.Client) -> None:
    alerts = prometheus.get("/api/v1/alerts").json()["data"]["alerts"]
    firing = {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}
    assert firing == {"LesionserveWatchdog"}


def until_or_last(holds: Callable[[], bool]) -> None:
    """Wait until it holds, at most WITHIN_S; the caller's own assertion says what is missing."""
    try:
        until(holds, WITHIN_S)
    except AssertionError:
        return
