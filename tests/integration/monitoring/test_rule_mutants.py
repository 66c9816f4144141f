"""Changes of the alert rules, each of which at least one of their cases has to notice."""

import copy
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.integration.monitoring.rules import (
    ALERTS,
    Alert,
    all_cases,
    needs_promtool,
    recordings_for,
    run_cases,
)

pytestmark = [needs_promtool, pytest.mark.faults]

# A limit: the number that follows a comparison. That of a guard against a division by 0 is none,
# and a prediction below 0 or -1 bytes is the same.
_LIMIT = re.compile(
    r"(?P<sign>(?<!= )[<>]=?|==) (?P<number>\d+(?:\.\d+)?)\b(?P<factor> \*)?(?<!< 0)(?!\) )(?!\) >)"
)
_TURNED = {">": "<", "<": ">", ">=": "<", "<=": ">", "==": "!="}
_MAX_COUNT = 20  # a whole number up to this one counts events or names a status


def mutants(alert: Alert) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what was changed, and the changed rule: limits, comparisons, words and times."""
    expr = alert.rule["expr"]
    for match in _LIMIT.finditer(expr):
        start, end = match.span("number")
        for value in _other_limits(float(match["number"]), bool(match["factor"])):
            yield f"{match[0]} to {value:g}", _with(alert, expr[:start] + f"{value}" + expr[end:])
        start, end = match.span("sign")
        turned = _TURNED[match["sign"]]
        yield f"{match[0]} to {turned}", _with(alert, expr[:start] + turned + expr[end:])
    for word, other in (("and", "or"), ("unless", "and")):
        for match in re.finditer(rf"\b{word}\b(?! on)", expr):
            changed = expr[: match.start()] + other + expr[match.end() :]
            yield f"{word} to {other}", _with(alert, changed)
    if duration := alert.rule.get("for"):
        amount, unit = int(duration[:-1]), duration[-1]
        yield "for twice as long", _with(alert, expr, f"{2 * amount}{unit}")
        yield "for no time", _with(alert, expr, "0s")


def _other_limits(number: float, is_factor: bool) -> tuple[float, float]:
    if number.is_integer() and number <= _MAX_COUNT and not is_factor:
        return number - 1, number + 1
    return number * 1.5, number / 1.5


def _with(alert: Alert, expr: str, duration: str | None = None) -> dict[str, Any]:
    rule = copy.deepcopy(alert.rule) | {"expr": expr}
    return rule if duration is None else rule | {"for": duration}


def survives(alert: Alert, mutant: dict[str, Any], folder: Any) -> bool:
    """Return whether no case notices the changed rule; those that fire come first."""
    siblings = [a.rule for a in ALERTS if a.name == alert.name and a != alert]
    recordings = recordings_for(mutant, *siblings)
    cases = [case for case in CASES if alert.name in case.alert_names]
    for case in sorted(cases, key=lambda case: True not in case.checks_of(alert)):
        if run_cases(folder, [*recordings, *siblings, mutant], [case]).returncode:
            return False
    return True


CASES = list(all_cases())
MUTANTS = [
    pytest.param(alert, rule, id=f"{alert}: {change}")
    for alert in ALERTS
    for change, rule in mutants(alert)
]


@pytest.mark.parametrize(("alert", "mutant"), MUTANTS)
def test_cases_notice_changed_rule(alert, mutant, tmp_path):
    assert not survives(alert, mutant, tmp_path), yaml.safe_dump(mutant, sort_keys=False)
