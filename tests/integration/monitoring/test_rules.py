"""The alert rules: what they say, and that their cases cover each of them."""

import re

import pytest
import yaml

from serve_app.paths import ROOT
from tests.integration.monitoring.rules import (
    ALERTS,
    CASE_FILES,
    RULE_FILES,
    RULES,
    Alert,
    Case,
    all_cases,
    needs_promtool,
    promtool,
    recordings_for,
    run_cases,
)

# The labels that an alert may carry. None of them is chosen by a client.
LABELS = {
    "alertname",
    "severity",
    "job",
    "instance",
    "application",
    "deployment",
    "replica",
    "certificate",
    "metric",
    "group",
    "reference",
    "label",  # a class of the model that answers
}
NAMES = {
    "LesionserveErrorBudgetBurnFast",
    "LesionserveErrorBudgetBurnSlow",
    "LesionserveLatencyBurn",
    "LesionserveFailuresExplained",
    "LesionserveProbeFailing",
    "LesionserveProbeMissing",
    "LesionserveManyRejected",
    "LesionserveShedding",
    "LesionserveCircuitOpen",
    "LesionserveRetriesOverBudget",
    "LesionserveLimiterFailing",
    "LesionserveNoReadyReplica",
    "LesionserveReplicaUnhealthy",
    "LesionserveReplicaCrashLoop",
    "LesionserveAutoscalerAtMaximum",
    "LesionserveGoldenMismatch",
    "LesionserveGoldenStale",
    "LesionservePrecisionLow",
    "LesionserveModelVersionSkew",
    "LesionserveModelWatch",
    "LesionserveModelWatchBehind",
    "LesionserveRolledBack",
    "LesionserveAuditUnverified",
    "LesionserveAuditBroken",
    "LesionserveCertificateExpires",
    "LesionserveDiskFills",
    "LesionserveDatabaseFailing",
    "LesionserveTargetDown",
    "LesionserveMetricsAbsent",
    "LesionserveWatchdog",
}
CASES = list(all_cases())
WINDOWS = RULES / "tests/windows.yml"


def test_every_alert_is_defined():
    assert {alert.name for alert in ALERTS} == NAMES
    assert len({str(alert) for alert in ALERTS}) == len(ALERTS)


@needs_promtool
def test_promtool_accepts_rules():
    checked = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULE_FILES)
    assert checked.returncode == 0, checked.stderr


@needs_promtool
@pytest.mark.parametrize(
    "path",
    # Days of all rules take promtool a minute; those of the rules that a case reads follow below.
    [
        pytest.param(path, id=path.stem, marks=[pytest.mark.slow] if path == WINDOWS else [])
        for path in CASE_FILES
    ],
)
def test_rules_pass_their_cases(path):
    tested = promtool("test", "rules", path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@needs_promtool
def test_rules_of_long_windows_pass_their_cases(tmp_path):
    windows = yaml.safe_load(WINDOWS.read_text())
    cases = [case for case in CASES if case.file == windows]
    assert len(cases) > 20
    for names in {frozenset(case.alert_names) for case in cases}:
        rules = [alert.rule for alert in ALERTS if alert.name in names]
        of_names = [case for case in cases if case.alert_names == names]
        tested = run_cases(tmp_path, [*recordings_for(*rules), *rules], of_names)
        assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_cases_fire_stay_silent_and_resolve(alert):
    checks = [case.checks_of(alert) for case in CASES if alert.name in case.alert_names]
    assert any(True in firing for firing in checks), "a case in which it fires"
    if alert.name == "LesionserveWatchdog":
        return  # it fires always
    assert any(firing and True not in firing for firing in checks), "a case that stays silent"
    assert any(False in firing[firing.index(True) :] for firing in checks if True in firing), (
        "a case in which it resolves"
    )


@pytest.mark.parametrize("alert", [a for a in ALERTS if "Burn" in a.name], ids=str)
def test_cases_of_burn_alerts_flap(alert):
    cases = [case for case in CASES if "without interruption" in case.name]
    checks = [case.checks_of(alert) for case in cases]
    assert any(firing.count(True) >= 3 for firing in checks)


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_alert_has_severity_and_texts(alert):
    assert alert.severity in {"page", "ticket", "none"}
    assert set(alert.rule["labels"]) == {"severity"}
    annotations = alert.rule["annotations"]
    assert set(annotations) == {"summary", "description", "runbook_url"}
    assert annotations["runbook_url"] == "{{ $externalLabels.runbooks }}#" + alert.name.lower()


def test_runbooks_have_a_paragraph_for_each_alert():
    text = (ROOT / "docs/runbooks.md").read_text()
    headings = re.findall(r"^### (\w+)$", text, re.MULTILINE)
    assert sorted(headings) == sorted(NAMES)
    for paragraph in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        for part in ("**Meaning.**", "**Look.**", "**Act.**", "**Resolves**"):
            assert part in paragraph, (paragraph.splitlines()[0], part)


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_alert_texts_and_grouping_use_allowed_labels_only(alert):
    texts = " ".join(alert.rule["annotations"].values())
    assert set(re.findall(r"\$labels\.(\w+)", texts)) <= LABELS
    aggregated = re.findall(r"\b(?:by|on) \(([^)]*)\)", alert.rule["expr"])
    names = {name.strip() for names in aggregated for name in names.split(",")}
    assert names <= LABELS | {"bundle_sha256"}  # of the model, and only counted


def test_alerts_of_cases_have_allowed_labels_only():
    expected = [
        alert
        for case in CASES
        for check in case.test["alert_rule_test"]
        for alert in check["exp_alerts"]
    ]
    assert {name for alert in expected for name in alert["exp_labels"]} < LABELS


@needs_promtool
@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_alert_drops_other_labels_of_its_metrics(alert: Alert, tmp_path):
    """Give every series a label with a patient's name: promtool compares alerts exactly."""
    cases = [case for case in CASES if True in case.checks_of(alert)]
    case = min(cases, key=lambda case: len(str(case.test)))
    series = [
        entry | {"series": entry["series"].replace("{", '{patient="Jane Doe", ', 1)}
        for entry in case.test["input_series"]
    ]
    hostile = Case(case.file, case.test | {"input_series": series})
    rules = [a.rule for a in ALERTS if a.name == alert.name]
    tested = run_cases(tmp_path, [*recordings_for(*rules), *rules], [hostile])
    assert tested.returncode == 0, tested.stdout + tested.stderr
