import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cluster.launcher.process_group import ProcessGroup, WatchedProcess
from tests.waiting import until

# A child that starts a grandchild, prints its pid and obeys SIGTERM.
PARENT = "import subprocess, time; print(subprocess.Popen(['sleep', '60']).pid, flush=True); "
PARENT += "time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
STUBBORN += "print('ready', flush=True); time.sleep(60)"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def group():
    group = ProcessGroup()
    yield group
    group.stop(0)


def start(group: ProcessGroup, program: str, log: Path) -> subprocess.Popen:
    """Start the program and return once it has printed its first line."""
    child = group.start([sys.executable, "-c", program], os.environ, log)
    until(lambda: log.read_text().endswith("\n"))
    return child


def test_reports_no_end_while_all_processes_live(group, log):
    start(group, PARENT, log)
    assert group.poll_ended() == []
    assert group.poll_ended() == []


def test_reports_killed_child_once(group, log):
    child = start(group, STUBBORN, log)
    group.poll_ended()
    child.kill()
    child.wait()
    assert [watched.pid for watched in group.poll_ended()] == [child.pid]
    assert group.poll_ended() == []
    assert child.returncode == -signal.SIGKILL


def test_keeps_title_of_process_that_dies_slowly(group, log, monkeypatch):
    child = start(group, STUBBORN, log)
    group.poll_ended()
    monkeypatch.setattr(psutil.Process, "cmdline", lambda process: [])
    assert group.poll_ended() == []
    child.kill()
    child.wait()
    assert [STUBBORN in watched.title for watched in group.poll_ended()] == [True]


def test_reports_end_of_process_whose_pid_is_reused(group, log, monkeypatch):
    earlier = psutil.Process(start(group, STUBBORN, log).pid)
    monkeypatch.setattr(earlier, "_ident", (earlier.pid, 0.0))
    group._known = {earlier: WatchedProcess(earlier, "the earlier one")}
    assert [watched.title for watched in group.poll_ended()] == ["the earlier one"]


def test_adopts_and_ends_orphan(group, log):
    child = start(group, PARENT, log)
    grandchild = int(log.read_text())
    group.poll_ended()
    child.kill()
    child.wait()
    assert [watched.pid for watched in group.poll_ended()] == [child.pid]
    group.stop(0)
    assert not psutil.pid_exists(grandchild)


def test_stop_kills_child_that_ignores_sigterm(group, log):
    child = start(group, STUBBORN, log)
    group.stop(0.1)
    assert child.poll() == -signal.SIGKILL


def test_child_ends_with_killed_parent(log, tmp_path):
    program = "\n".join(
        [
            "import os, sys, time",
            "from pathlib import Path",
            "from cluster.launcher.process_group import ProcessGroup",
            "child = ProcessGroup().start(['sleep', '60'], os.environ, Path(sys.argv[1]))",
            "print(child.pid, flush=True)",
            "time.sleep(60)",
        ]
    )
    command = [sys.executable, "-c", program, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    until(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)
