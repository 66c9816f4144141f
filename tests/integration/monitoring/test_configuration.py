"""The configurations of Prometheus and Alertmanager for production."""

import re
import shutil
from pathlib import Path

import pytest
import yaml

from tests.integration.monitoring.rules import ALERTS, MONITORING, needs_promtool, promtool
from tests.integration.monitoring.test_rules import LABELS

SECRETS = "/etc/prometheus/lesionserve"
PROMETHEUS = yaml.safe_load((MONITORING / "prometheus.yml").read_text())


def installed(folder: Path) -> Path:
    """Install the files as an operator does, with the secrets that they name in files."""
    shutil.copytree(MONITORING / "rules", folder / "rules")
    for name in ("prometheus.yml", "alertmanager.yml"):
        text = (MONITORING / name).read_text()
        for path in re.findall(rf"{SECRETS}/([\w.]+)", text):
            (folder / path).write_text("secret")
        (folder / name).write_text(text.replace(SECRETS, str(folder)))
    return folder


@needs_promtool
def test_promtool_accepts_configuration(tmp_path):
    checked = promtool("check", "config", installed(tmp_path) / "prometheus.yml")
    assert checked.returncode == 0, checked.stderr
    assert f"{len(list((MONITORING / 'rules').glob('*.yml')))} rule files found" in checked.stdout


def test_jobs_have_names_that_rules_look_for():
    jobs = {job["job_name"]: job for job in PROMETHEUS["scrape_configs"]}
    assert set(jobs) == {"lesionserve-gateway", "lesionserve-ray"}
    relabelled = [rule.get("replacement") for rule in jobs["lesionserve-ray"]["relabel_configs"]]
    assert relabelled == ["lesionserve-ray"], "Ray's list of targets says job=ray"


def test_external_labels_of_alerts_are_allowed():
    labels = set(PROMETHEUS["global"]["external_labels"])
    for rule in PROMETHEUS["alerting"]["alert_relabel_configs"]:
        assert rule["action"] == "labeldrop"
        labels -= {label for label in labels if re.fullmatch(rule["regex"], label)}
    assert labels == {"site"}


@pytest.mark.parametrize("name", ["prometheus.yml", "alertmanager.yml"])
def test_secrets_are_in_files(name):
    text = (MONITORING / name).read_text()
    keys = re.findall(r"^\s*(\w*(?:password|credentials|secret|token)\w*):", text, re.MULTILINE)
    assert keys
    assert [key for key in keys if not key.endswith("_file")] == []


def test_rules_use_metrics_of_known_jobs_only():
    expressions = " ".join(alert.rule["expr"] for alert in ALERTS)
    jobs = set(re.findall(r'job="([^"]+)"', expressions))
    assert jobs == {"lesionserve-gateway", "lesionserve-ray"}


def test_alerts_are_grouped_by_allowed_labels():
    route = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())["route"]
    assert set(route["group_by"]) <= LABELS
