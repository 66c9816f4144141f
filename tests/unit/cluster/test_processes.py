import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from cluster.processes import Family, Member
from cluster.roles import DRIVER, GATEWAY, Fate, fatal, role_of

# A child that starts a grandchild, prints its pid and obeys SIGTERM.
PARENT = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); "
PARENT += "time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
STUBBORN += "print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def family():
    made = Family()
    yield made
    made.stop(0)


def start(family: Family, program: str, log: Path) -> subprocess.Popen:
    """Starts the program and returns once it has printed its first line."""
    child = family.start([sys.executable, "-c", program], os.environ, log)
    until(lambda: log.read_text().endswith("\n"))
    return child


def until(happened) -> None:
    deadline = time.monotonic() + 20
    while not happened():
        assert time.monotonic() < deadline, "it did not happen within 20 s"
        time.sleep(0.02)


def test_nobody_has_gone_while_all_live(family, log):
    start(family, PARENT, log)
    assert family.look() == []
    assert family.look() == []


def test_a_child_that_is_killed_is_missed_once(family, log):
    child = start(family, STUBBORN, log)
    family.look()
    child.kill()
    child.wait()
    assert [member.pid for member in family.look()] == [child.pid]
    assert family.look() == []
    assert child.returncode == -signal.SIGKILL


def test_a_process_that_dies_slowly_keeps_its_name(family, log, monkeypatch):
    child = start(family, STUBBORN, log)
    family.look()
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: [])
    assert family.look() == []
    child.kill()
    child.wait()
    assert [STUBBORN in member.title for member in family.look()] == [True]


def test_a_pid_that_is_used_again_hides_no_death(family, log, monkeypatch):
    earlier = psutil.Process(start(family, STUBBORN, log).pid)
    monkeypatch.setattr(earlier, "_ident", (earlier.pid, 0.0))
    family._known = {earlier: Member(earlier, "the earlier one")}
    assert [member.title for member in family.look()] == ["the earlier one"]


def test_an_orphan_stays_in_the_family(family, log):
    child = start(family, PARENT, log)
    grandchild = int(log.read_text())
    family.look()
    child.kill()
    child.wait()
    assert [member.pid for member in family.look()] == [child.pid]
    family.stop(0)
    assert not psutil.pid_exists(grandchild)


def test_stopping_ends_whoever_does_not_obey(family, log):
    child = start(family, STUBBORN, log)
    family.stop(0.1)
    assert child.poll() == -signal.SIGKILL


def test_a_child_ends_with_a_parent_that_is_killed(log, tmp_path):
    program = "\n".join(
        [
            "import os, sys, time",
            "from pathlib import Path",
            "from cluster.processes import Family",
            "child = Family().start(['sleep', '60'], os.environ, Path(sys.argv[1]))",
            "print(child.pid, flush=True)",
            "time.sleep(60)",
        ]
    )
    command = [sys.executable, "-c", program, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


@pytest.mark.parametrize(
    ("title", "name", "fate"),
    [
        ("/usr/bin/python -m serve_app --config x", "the Ray Serve driver", Fate.ENDS),
        ("/usr/bin/python -m uvicorn gateway.asgi:application", "the gateway", Fate.ENDS),
        ("/x/ray/core/src/ray/raylet/raylet --a", "Ray's node manager (raylet)", Fate.ENDS),
        ("/x/ray/core/src/ray/gcs/gcs_server --a", "Ray's head (gcs_server)", Fate.ENDS),
        ("ray::ServeController.listen_for_change", "the Serve controller", Fate.HEALS),
        ("ray::ServeReplica:lesionserve:Pipeline", "a replica of Pipeline", Fate.HEALS),
        ("ray-dashboard-DataHead-0 (python)", "the Ray dashboard", Fate.GOES_ON),
    ],
)
def test_a_process_is_known_by_its_command_line(title, name, fate):
    role = role_of(title)
    assert (role.name, role.fate) == (name, fate)


@pytest.mark.parametrize("title", ["ray::IDLE", "/usr/bin/python -m gateway.manage migrate"])
def test_processes_that_come_and_go_have_no_role(title):
    assert role_of(title) is None


def test_of_several_deaths_the_first_cause_is_named():
    gcs, replica = role_of("/gcs_server"), role_of("ray::ServeReplica:a:B")
    assert fatal([replica, gcs, DRIVER]) == DRIVER
    assert fatal([GATEWAY, replica]) == GATEWAY
    assert fatal([replica]) is None
