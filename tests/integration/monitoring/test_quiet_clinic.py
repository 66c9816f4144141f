"""Two days of a quiet clinic: no alert but the watchdog fires."""

import pytest
import yaml

from tests.integration.monitoring.quiet_clinic import MINUTES, quiet_clinic
from tests.integration.monitoring.rules import RULE_FILES, needs_promtool, promtool

pytestmark = needs_promtool

_FIRED = 'count by (alertname) (count_over_time(ALERTS{alertstate="firing"}[2d]))'
_LAST = f"{MINUTES - 1}m"


def alerts_of(series, expected, folder):
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {
                "expr": _FIRED,
                "eval_time": _LAST,
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1} for name in sorted(expected)
                ],
            }
        ],
    }
    file = {
        "rule_files": [str(path) for path in RULE_FILES],
        "evaluation_interval": "2m",
        "group_eval_order": [],
        "tests": [test],
    }
    path = folder / "quiet.yml"
    path.write_text(yaml.safe_dump(file, sort_keys=False, width=10**6))
    return promtool("test", "rules", path)


def test_quiet_clinic_fires_watchdog_only(tmp_path):
    tested = alerts_of(quiet_clinic(), ["LesionserveWatchdog"], tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr


@pytest.mark.faults
def test_quiet_clinic_with_five_failures_fires_ticket(tmp_path):
    more = [1440 + 600 + 60 * n for n in range(4)]  # on the second day
    fired = ["LesionserveWatchdog", "LesionserveErrorBudgetBurnSlow"]
    tested = alerts_of(quiet_clinic(more), fired, tmp_path)
    assert tested.returncode == 0, tested.stdout + tested.stderr
