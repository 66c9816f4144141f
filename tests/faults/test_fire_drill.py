"""Faults in a running stack, and which alerts a real Prometheus and Alertmanager send for them.

The rules and routes are those of `cluster/monitoring`, twenty times as fast. At the end the table
of what was seen is printed, and written to `out/fire-drill.md`.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from serve_app.paths import ROOT
from tests.faults.drill.clinic import Clinic, sending
from tests.faults.drill.drill import Drill, Row, exercise
from tests.faults.drill.monitor import monitoring
from tests.faults.drill.report import table
from tests.faults.drill.schedule import SCHEDULE
from tests.faults.drill.stack import DrillStack, drill_stack
from tests.faults.drill.webhook import receiving
from tests.integration.gateway.postgres import binaries

PROGRAMS = ("prometheus", "prometheus-alertmanager", "redis-server")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]
POSTGRES = binaries()

pytestmark = [
    pytest.mark.faults,
    pytest.mark.skipif(
        bool(MISSING) or POSTGRES is None,
        reason="needs Debian's prometheus, prometheus-alertmanager, redis-server and postgresql",
    ),
]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DrillStack]:
    assert POSTGRES is not None
    with drill_stack(tmp_path_factory.mktemp("drill"), POSTGRES) as stack:
        yield stack


@pytest.fixture(scope="module")
def clinic(stack: DrillStack) -> Iterator[Clinic]:
    with sending(stack.up) as clinic:
        yield clinic


@pytest.fixture(scope="module")
def out() -> Path:
    folder = ROOT / "out"
    folder.mkdir(exist_ok=True)
    (folder / "fire-drill.log").unlink(missing_ok=True)
    return folder


@pytest.fixture(scope="module")
def rows(out: Path, request: pytest.FixtureRequest) -> Iterator[list[Row]]:
    """The results, which are printed at the end."""
    rows: list[Row] = []
    yield rows
    text = table(rows)
    (out / "fire-drill.md").write_text(text)
    terminal = request.config.pluginmanager.get_plugin("terminalreporter")
    terminal.write_line(f"\n\n{text}")


@pytest.fixture
def drill(stack: DrillStack, clinic: Clinic, out: Path, tmp_path: Path) -> Iterator[Drill]:
    with (
        receiving() as webhook,
        monitoring(tmp_path / "monitor", stack.prometheus_config, webhook.url) as monitor,
    ):
        yield Drill(stack, clinic, monitor, webhook, out / "fire-drill.log")


@pytest.mark.parametrize("faults", SCHEDULE, ids=lambda faults: ", ".join(f.name for f in faults))
def test_alert_of_fault_arrives_alone_and_resolves(drill, rows, faults):
    possible = [f for f in faults if drill.stack.disk is not None or not f.needs_disk]
    rows += exercise(drill, possible)
