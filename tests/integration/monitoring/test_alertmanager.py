"""Alertmanager's routes by amtool, and its inhibitions by a running Alertmanager."""

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from cluster.launcher.ports import choose_ports
from tests.integration.monitoring.rules import ALERTS, MONITORING
from tests.waiting import until

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus-alertmanager") is None or shutil.which("amtool") is None,
    reason="needs Debian's package prometheus-alertmanager",
)
CONFIG = MONITORING / "alertmanager.yml"
RECEIVERS = {"page": "page", "ticket": "ticket", "none": "none"}

GATEWAY = {"job": "lesionserve-gateway"}
NODE = GATEWAY | {"instance": "10.0.0.5:8080"}
OTHER = GATEWAY | {"instance": "10.0.0.7:8080"}
RAY = {"job": "lesionserve-ray"}
DEPLOYMENT = {"application": "lesionserve", "deployment": "Predictor"}
PAGE, TICKET = {"severity": "page"}, {"severity": "ticket"}
MODEL = {"metric": "ray_lesionserve_model_info"}

# A pair of which the second is kept back, and that no other pair has to do with.
CONTROL = [
    {"alertname": "LesionserveCertificateExpires", "certificate": "control"} | severity
    for severity in (PAGE, TICKET)
]

# An alert that explains others; one that it keeps from being sent, and one that it does not.
INHIBITED = [
    ("NoReadyReplica", DEPLOYMENT, "ErrorBudgetBurnFast", {}),
    ("NoReadyReplica", DEPLOYMENT, "LatencyBurn", {}),
    ("NoReadyReplica", DEPLOYMENT, "Shedding", {}),
    ("NoReadyReplica", DEPLOYMENT, "ProbeFailing", {}),
    ("NoReadyReplica", DEPLOYMENT, "CircuitOpen", NODE),
    ("NoReadyReplica", DEPLOYMENT, "ReplicaUnhealthy", DEPLOYMENT),
    ("NoReadyReplica", DEPLOYMENT, "ModelDriftScores", {}),
    ("NoReadyReplica", DEPLOYMENT, "MetricsAbsent", RAY | MODEL),
    ("FailuresExplained", {}, "ErrorBudgetBurnFast", {}),
    ("FailuresExplained", {}, "LatencyBurn", PAGE),
    ("TargetDown", GATEWAY | PAGE, "ProbeMissing", {}),
    ("TargetDown", GATEWAY | PAGE, "DatabaseFailing", OTHER),
    ("TargetDown", GATEWAY | PAGE, "AuditUnverified", {}),
    ("TargetDown", GATEWAY | PAGE, "MetricsAbsent", GATEWAY),
    ("TargetDown", GATEWAY | PAGE, "TargetDown", NODE | TICKET),
    ("TargetDown", NODE | TICKET, "DatabaseFailing", NODE),
    ("TargetDown", RAY | PAGE, "NoReadyReplica", DEPLOYMENT),
    ("TargetDown", RAY | PAGE, "GoldenStale", DEPLOYMENT),
    ("DatabaseFailing", NODE, "ProbeFailing", {}),
    ("CircuitOpen", NODE, "ErrorBudgetBurnFast", {}),
    ("ReplicaCrashLoop", DEPLOYMENT, "ReplicaUnhealthy", DEPLOYMENT),
    ("GoldenMismatch", DEPLOYMENT | {"replica": "a1"}, "ReplicaUnhealthy", DEPLOYMENT),
    ("ErrorBudgetBurnFast", PAGE, "ErrorBudgetBurnSlow", TICKET),
    ("LatencyBurn", PAGE, "LatencyBurn", TICKET),
    ("DiskFills", NODE | PAGE, "DiskFills", NODE | TICKET),
    (
        "CertificateExpires",
        PAGE | {"certificate": "a"},
        "CertificateExpires",
        TICKET | {"certificate": "a"},
    ),
]
SENT = [
    ("NoReadyReplica", DEPLOYMENT, "GoldenMismatch", DEPLOYMENT | {"replica": "a1"}),
    ("NoReadyReplica", DEPLOYMENT, "DatabaseFailing", NODE),
    ("NoReadyReplica", DEPLOYMENT, "AuditBroken", {}),
    ("NoReadyReplica", DEPLOYMENT, "Watchdog", {}),
    ("NoReadyReplica", DEPLOYMENT, "MetricsAbsent", GATEWAY),
    ("FailuresExplained", {}, "ProbeFailing", {}),
    ("FailuresExplained", {}, "LatencyBurn", TICKET),
    ("FailuresExplained", {}, "ErrorBudgetBurnSlow", TICKET),
    ("TargetDown", NODE | TICKET, "DatabaseFailing", OTHER),
    ("TargetDown", NODE | TICKET, "ErrorBudgetBurnFast", {}),
    ("TargetDown", GATEWAY | PAGE, "NoReadyReplica", DEPLOYMENT),
    ("TargetDown", GATEWAY | PAGE, "MetricsAbsent", RAY),
    ("TargetDown", RAY | PAGE, "ErrorBudgetBurnFast", {}),
    ("TargetDown", RAY | PAGE, "TargetDown", NODE | TICKET),
    ("ReplicaCrashLoop", DEPLOYMENT, "ReplicaUnhealthy", DEPLOYMENT | {"deployment": "Ingress"}),
    ("DiskFills", NODE | PAGE, "DiskFills", OTHER | TICKET),
    (
        "CertificateExpires",
        PAGE | {"certificate": "a"},
        "CertificateExpires",
        TICKET | {"certificate": "b"},
    ),
    ("ErrorBudgetBurnSlow", TICKET, "ErrorBudgetBurnFast", PAGE),
]


def amtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["amtool", *map(str, arguments)], capture_output=True, text=True)


def test_amtool_accepts_configuration():
    checked = amtool("check-config", CONFIG)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_route_of_alert_ends_at_receiver_of_its_severity(alert):
    is_watchdog = alert.name == "LesionserveWatchdog"
    receiver = "watchdog" if is_watchdog else RECEIVERS[alert.severity]
    tested = amtool(
        *("config", "routes", "test", f"--config.file={CONFIG}"),
        f"--verify.receivers={receiver}",
        f"alertname={alert.name}",
        f"severity={alert.severity}",
        "site=clinic",
    )
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_inhibitions_name_alerts_that_exist():
    rules = yaml.safe_load(CONFIG.read_text())["inhibit_rules"]
    names = {alert.name for alert in ALERTS} | {"LesionserveModelDriftScores"}
    for rule in rules:
        for matcher in rule["source_matchers"] + rule["target_matchers"]:
            match = re.fullmatch(r'alertname =~? "?([^"]+)"?', matcher)
            if match is None:
                continue
            assert [n for n in names if re.fullmatch(match[1], n)], matcher
            for part in re.findall(r"[A-Z][A-Za-z]+(?:\.\*)?", match[1].partition("(")[2]):
                assert any(re.search(part, name) for name in names), part


@pytest.fixture(scope="module")
def alertmanager(tmp_path_factory) -> Iterator[httpx.Client]:
    """An Alertmanager with the routes and inhibitions, and nobody to send to."""
    folder = tmp_path_factory.mktemp("alertmanager")
    config = yaml.safe_load(CONFIG.read_text())
    del config["global"]
    config["receivers"] = [{"name": receiver["name"]} for receiver in config["receivers"]]
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))
    (port,) = choose_ports([None])
    command = [
        "prometheus-alertmanager",
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with (
        (folder / "log").open("wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
    ):
        try:
            until_ready(client, process, folder / "log")
            yield client
        finally:
            process.terminate()


def until_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            if client.get("/-/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


def is_inhibited(client: httpx.Client, source: dict[str, Any], target: dict[str, Any]) -> bool:
    """Return whether the target is kept back while both fire. The pair has a label of its own."""
    pair = {"site": f"{time.monotonic_ns()}"}
    # Inhibition does not compare the label, so former pairs have to end first.
    former = client.get("/api/v2/alerts").json()
    ended = [{"labels": a["labels"], "endsAt": "2020-01-01T00:00:00Z"} for a in former]
    alerts = [{"labels": labels | pair} for labels in (source, target, *CONTROL)]
    assert client.post("/api/v2/alerts", json=[*ended, *alerts]).status_code == 200
    # Alerts reach the inhibitor one after the other, and later than the answer.
    until(lambda: _inhibited_by(client, CONTROL[1] | pair) != [])
    return bool(_inhibited_by(client, target | pair))


def _inhibited_by(client: httpx.Client, labels: dict[str, str]) -> list[str]:
    matchers = {"filter": f'site="{labels["site"]}"'}
    present = client.get("/api/v2/alerts", params=matchers).json()
    (alert,) = (a for a in present if a["labels"] == labels)
    inhibited_by: list[str] = alert["status"]["inhibitedBy"]
    return inhibited_by


def labels_of(name: str, labels: dict[str, str]) -> dict[str, str]:
    """Return the labels of an alert, with the severity of its rule unless one is given."""
    name = f"Lesionserve{name}"
    severities = [alert.severity for alert in ALERTS if alert.name == name] or ["ticket"]
    return {"alertname": name, "severity": severities[0], **labels}


@pytest.mark.parametrize(("source", "labels", "target", "target_labels"), INHIBITED)
def test_alert_is_kept_back_by_its_cause(alertmanager, source, labels, target, target_labels):
    cause, effect = labels_of(source, labels), labels_of(target, target_labels)
    assert is_inhibited(alertmanager, cause, effect)


@pytest.mark.parametrize(("source", "labels", "target", "target_labels"), SENT)
def test_alert_of_another_cause_is_sent(alertmanager, source, labels, target, target_labels):
    cause, other = labels_of(source, labels), labels_of(target, target_labels)
    assert not is_inhibited(alertmanager, cause, other)
