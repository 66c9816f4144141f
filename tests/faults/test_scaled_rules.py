"""The rules of the fire drill are those for production, but for their times."""

import re

import pytest
import yaml

from tests.faults.drill.scaled import (
    SCALE,
    alertmanager_config,
    scaled_duration,
    scaled_expression,
    write_rules,
)
from tests.integration.monitoring.rules import ALERTS, all_rules, needs_promtool, promtool


@needs_promtool
def test_promtool_accepts_scaled_rules(tmp_path):
    write_rules(tmp_path / "rules")
    files = sorted((tmp_path / "rules").glob("*.yml"))
    checked = promtool("check", "rules", *files)
    assert checked.returncode == 0, checked.stderr
    documents = [yaml.safe_load(path.read_text()) for path in files]
    rules = [rule for file in documents for group in file["groups"] for rule in group["rules"]]
    assert len(rules) == len(all_rules())


@pytest.mark.parametrize(
    ("text", "scaled"),
    [("5m", "15000ms"), ("1h", "180000ms"), ("1d", "4320000ms"), ("0s", "0s"), ("10s", "500ms")],
)
def test_duration_is_divided(text, scaled):
    assert scaled_duration(text) == scaled


@pytest.mark.parametrize(
    ("expression", "scaled"),
    [
        ("increase(x[1h]) >= 5", "increase(x[180000ms]) >= 5"),
        ("max_over_time(x[15m] offset 1h)", "max_over_time(x[45000ms] offset 180000ms)"),
        ("time() - max(x) > 300", "time() - max(x) > (300) / 20"),
        ("time() - x > 26 * 3600", "time() - x > (26 * 3600) / 20"),
        (
            "predict_linear(x[1h], 24 * 3600) < 0",
            "predict_linear(x[180000ms], (24 * 3600) / 20) < 0",
        ),
        ("x > 14.4 * 0.005", "x > 14.4 * 0.005"),
        ("min(certificate_x) - time() < 2 * 86400", "min(certificate_x) - time() < 2 * 86400"),
    ],
)
def test_times_of_expression_are_divided(expression, scaled):
    assert scaled_expression(expression) == scaled


@pytest.mark.parametrize("alert", ALERTS, ids=str)
def test_expression_has_no_unscaled_duration(alert):
    expression = scaled_expression(alert.rule["expr"])
    durations = re.findall(r"\b\d+(?:ms|[smhd])\b", expression)
    assert all(duration.endswith("ms") for duration in durations), expression


def test_routes_keep_their_order_and_receivers():
    config = alertmanager_config("http://127.0.0.1:9/")
    waits = [route["group_wait"] for route in config["route"]["routes"] if "group_wait" in route]
    assert waits == ["0s", "9000ms", "500ms"]
    assert config["route"]["group_wait"] == f"{30_000 // SCALE}ms"
    hooks = {r["name"]: r.get("webhook_configs", []) for r in config["receivers"]}
    assert {name for name, hook in hooks.items() if hook} == {"page", "ticket"}
