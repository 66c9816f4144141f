"""Faults in a running stack, and which alerts a real Prometheus and Alertmanager send for them.

The rules and routes are those of `cluster/monitoring`, twenty times as fast. At the end the table
of what was seen is printed, and written to `out/fire-drill.md`.
"""

import shutil
from collections.abc import Iterator

import pytest

from serve_app.paths import ROOT
from tests.faults.drill import faults
from tests.faults.drill.clinic import sending
from tests.faults.drill.drill import Drill, Fault, Time, exercise
from tests.faults.drill.monitor import monitoring
from tests.faults.drill.report import table
from tests.faults.drill.stack import drill_stack
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

MINUTE = 60.0
FAULTS = [
    Fault(
        "the key of the probe is revoked",
        "LesionserveProbeFailing",
        faults.probe_key_revoked,
        arrives=Time(3 * MINUTE, 5),
        resolves=Time(1 * MINUTE, 5),
    ),
    Fault(
        "the ingress is gone",
        "LesionserveCircuitOpen",
        faults.ingress_gone,
        arrives=Time(3 * MINUTE, 10),
        resolves=Time(1 * MINUTE, 30),
    ),
]


@pytest.fixture(scope="module")
def drill(tmp_path_factory: pytest.TempPathFactory, request) -> Iterator[Drill]:
    assert POSTGRES is not None
    folder = tmp_path_factory.mktemp("drill")
    with (
        drill_stack(folder, POSTGRES) as stack,
        receiving() as webhook,
        monitoring(folder / "monitor", stack.prometheus_config, webhook.url) as monitor,
        sending(stack.up) as clinic,
    ):
        drill = Drill(stack, clinic, monitor, webhook)
        yield drill
    report(table(drill.rows), request.config)


def report(text: str, config: pytest.Config) -> None:
    (ROOT / "out").mkdir(exist_ok=True)
    (ROOT / "out/fire-drill.md").write_text(text)
    terminal = config.pluginmanager.get_plugin("terminalreporter")
    terminal.write_line(f"\n\n{text}")


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_alert_of_fault_arrives_alone_and_resolves(drill, fault):
    exercise(drill, fault)
