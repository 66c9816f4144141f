"""The alert rules and routes of `cluster/monitoring`, with every duration divided by SCALE.

A rule that waits five minutes waits 15 s in the drill. Constants of seconds in an expression are
divided as well, except where the fault can move the clock: a certificate can be made to expire.
The rules about starts of replicas have scales of their own, because replicas do not start faster.
"""

import re
from pathlib import Path
from typing import Any

import yaml

from cluster.paths import MONITORING

SCALE = 20
SCALE_OF_CRASHES = 3

_SCALES = {"LesionserveReplicaCrashLoop": SCALE_OF_CRASHES, "LesionserveReplicaUnhealthy": 1}

_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_DURATION = r"(?:\d+(?:ms|[smhd]))+"
_IN_EXPRESSION = re.compile(rf"(?<=\[){_DURATION}(?=\])|(?<=offset ){_DURATION}")
# time() - x > 300, time() - x > 26 * 3600, predict_linear(x[1h], 24 * 3600)
_SECONDS = re.compile(r"(?<=> )(\d+ \* 3600|\d{3,})(?![\d.])|(?<=, )\d+ \* 3600(?=\))")
_WAITS = ("for", "keep_firing_for")
_ROUTE_WAITS = ("group_wait", "group_interval", "repeat_interval")


def scaled_duration(text: str, scale: int = SCALE) -> str:
    """Return the duration divided by the scale, in whole milliseconds."""
    parts = re.findall(r"(\d+)(ms|[smhd])", text)
    milliseconds = sum(int(number) * _UNITS_MS[unit] for number, unit in parts) // scale
    return f"{milliseconds}ms" if milliseconds else "0s"


def scaled_expression(expression: str, scale: int = SCALE) -> str:
    """Return the expression with its ranges, offsets and limits of seconds divided by the scale."""
    shorter = _IN_EXPRESSION.sub(lambda match: scaled_duration(match[0], scale), expression)
    if "certificate" in expression:
        return shorter
    return _SECONDS.sub(lambda match: f"({match[0]}) / {scale}", shorter)


def write_rules(folder: Path) -> None:
    """Write each file of rules, scaled, into the folder."""
    folder.mkdir()
    for path in sorted((MONITORING / "rules").glob("*.yml")):
        document = yaml.safe_load(path.read_text())
        for group in document["groups"]:
            group["rules"] = [_scaled_rule(rule) for rule in group["rules"]]
        (folder / path.name).write_text(yaml.safe_dump(document, sort_keys=False))


def _scaled_rule(rule: dict[str, Any]) -> dict[str, Any]:
    scale = _SCALES.get(rule.get("alert", ""), SCALE)
    waits = {name: scaled_duration(rule[name], scale) for name in _WAITS if name in rule}
    return rule | {"expr": scaled_expression(rule["expr"], scale)} | waits


def alertmanager_config(webhook: str) -> dict[str, Any]:
    """Return the routes and inhibitions for production, scaled, with one webhook for pages and
    tickets. The watchdog is sent to nobody."""
    config: dict[str, Any] = yaml.safe_load((MONITORING / "alertmanager.yml").read_text())
    del config["global"]
    _scale_route(config["route"])
    for receiver in config["receivers"]:
        receiver.pop("webhook_configs", None)
        if receiver.pop("email_configs", None):  # for people
            receiver["webhook_configs"] = [{"url": webhook, "send_resolved": True}]
    return config


def _scale_route(route: dict[str, Any]) -> None:
    for name in _ROUTE_WAITS:
        if name in route:
            route[name] = scaled_duration(route[name])
    for child in route.get("routes", []):
        _scale_route(child)
