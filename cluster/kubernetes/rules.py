"""The alert rules as an object of the Prometheus Operator."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from cluster.paths import MONITORING

RULES = MONITORING / "rules"

_HEADING = """\
# Written by `python -m cluster.kubernetes` from cluster/monitoring/rules.
# Do not edit: change the rules there, and write this file again.
"""


def prometheus_rule(paths: Sequence[Path]) -> str:
    """Return a PrometheusRule with the groups of all rule files, in their order."""
    groups = [group for path in paths for group in _groups(path)]
    rule = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "lesionserve",
            "namespace": "lesionserve",
            "labels": {
                "app.kubernetes.io/part-of": "lesionserve",
                "release": "kube-prometheus-stack",
            },
        },
        "spec": {"groups": groups},
    }
    return _HEADING + yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=100)


def _groups(path: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return groups
