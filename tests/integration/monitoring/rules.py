"""The alert rules with their cases, and how the tests call Debian's promtool on them."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from serve_app.paths import ROOT

MONITORING = ROOT / "cluster/monitoring"
RULES = MONITORING / "rules"
RULE_FILES = sorted(RULES.glob("*.yml"))
CASE_FILES = sorted((RULES / "tests").glob("*.yml"))

needs_promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs Debian's package prometheus"
)


@dataclass(frozen=True)
class Alert:
    """An alerting rule. Two rules may share a name and differ in their severity."""

    rule: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.rule["alert"])

    @property
    def severity(self) -> str:
        return str(self.rule["labels"]["severity"])

    def __str__(self) -> str:
        return f"{self.name}-{self.severity}"


@dataclass(frozen=True)
class Case:
    """A test of promtool. `file` is the content of its file."""

    file: dict[str, Any]
    test: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.test["name"])

    @property
    def alert_names(self) -> set[str]:
        return {check["alertname"] for check in self.test["alert_rule_test"]}

    def checks_of(self, alert: Alert) -> list[bool]:
        """Return at each checked time, in order, whether the alert is expected to fire."""
        checks = [c for c in self.test["alert_rule_test"] if c["alertname"] == alert.name]
        checks.sort(key=lambda check: seconds(check["eval_time"]))
        severities = [
            [expected["exp_labels"]["severity"] for expected in check["exp_alerts"]]
            for check in checks
        ]
        return [alert.severity in firing for firing in severities]


def all_rules() -> list[dict[str, Any]]:
    files = [yaml.safe_load(path.read_text()) for path in RULE_FILES]
    return [rule for file in files for group in file["groups"] for rule in group["rules"]]


ALERTS = [Alert(rule) for rule in all_rules() if "alert" in rule]


def all_cases() -> Iterator[Case]:
    for path in CASE_FILES:
        file = yaml.safe_load(path.read_text())
        for test in file["tests"]:
            yield Case(file, test)


def seconds(duration: str) -> int:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(n) * units[unit] for n, unit in re.findall(r"(\d+)([dhms])", duration))


def promtool(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *map(str, arguments)], capture_output=True, text=True)


def run_cases(
    folder: Path, rules: list[dict[str, Any]], cases: list[Case]
) -> subprocess.CompletedProcess[str]:
    """Test some rules alone, in one group, by cases of one evaluation interval."""
    group = {"name": "rules", "rules": rules}
    (folder / "rules.yml").write_text(yaml.safe_dump({"groups": [group]}, sort_keys=False))
    tests = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": cases[0].file["evaluation_interval"],
        "tests": [case.test for case in cases],
    }
    (folder / "cases.yml").write_text(yaml.safe_dump(tests, sort_keys=False))
    return promtool("test", "rules", folder / "cases.yml")


def recordings_for(*rules: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the recording rules that the rules read, and those that they read, in order."""
    recordings = [rule for rule in all_rules() if "record" in rule]
    text = yaml.safe_dump(list(rules))
    names: set[str] = set()
    while new := {r["record"] for r in recordings if r["record"] in text} - names:
        names |= new
        text += "".join(r["expr"] for r in recordings if r["record"] in new)
    return [r for r in recordings if r["record"] in names]
