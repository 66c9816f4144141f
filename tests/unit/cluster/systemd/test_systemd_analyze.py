"""What systemd itself says of the units, read from an installation in a folder."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.unit.cluster.systemd.units import SPECIFIERS, SYSTEMD, read_units

ANALYZE = shutil.which("systemd-analyze")
DEBIAN_UNITS = Path("/lib/systemd/system")

# systemd's exposure level, times ten: 0 is the best, 100 the worst. The inference half needs devices
# and compiled kernels; every service needs the network, but for the one that reports failures.
THRESHOLDS = {
    "lesionserve-gateway.service": 14,
    "lesionserve-backup.service": 14,
    "lesionserve-clear-sessions.service": 14,
    "lesionserve-prune-audit.service": 14,
    "lesionserve-verify-audit.service": 14,
    "lesionserve-failed@.service": 10,
    "lesionserve-deploy.service": 20,
    "lesionserve-ray-head.service": 20,
    "lesionserve-ray-worker.service": 20,
}


def analyze(*arguments: object) -> "subprocess.CompletedProcess[str]":
    if ANALYZE is None:
        pytest.skip("systemd-analyze is not installed (Debian: systemd)")
    command = [ANALYZE, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root folder with the units, the targets of systemd, and a file for each program."""
    shutil.copytree(SYSTEMD / "etc", tmp_path / "etc")
    targets = tmp_path / "usr/lib/systemd/system"
    targets.mkdir(parents=True)
    for path in (*DEBIAN_UNITS.glob("*.target"), *DEBIAN_UNITS.glob("*.slice")):
        shutil.copy(path, targets, follow_symlinks=False)
    for unit in read_units().values():
        for command in unit.commands:
            program = tmp_path / command.split()[0].removeprefix("/")
            program.parent.mkdir(parents=True, exist_ok=True)
            program.touch(0o755)
    return tmp_path


def paths(root: Path) -> list[Path]:
    return [root / "etc/systemd/system" / name for name in read_units()]


def verify(root: Path) -> str:
    done = analyze("verify", f"--root={root}", "--man=no", *(path.name for path in paths(root)))
    return done.stdout + done.stderr


def test_systemd_accepts_every_unit(root, monkeypatch):
    monkeypatch.chdir(root / "etc/systemd/system")
    assert verify(root) == ""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("TimeoutStopSec=45s", "TimeoutStopSeconds=45s"),
        ("MemoryMax=4G", "MemoryMax=four"),
        ("KillMode=mixed", "KillMode=some"),
        ("/opt/lesionserve/.venv/bin/uvicorn", "/opt/lesionserve/bin/uvicorn"),
    ],
)
def test_systemd_reports_wrong_line(root, monkeypatch, old, new):
    monkeypatch.chdir(root / "etc/systemd/system")
    path = root / "etc/systemd/system/lesionserve-gateway.service"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert "lesionserve-gateway.service" in verify(root)


def test_every_service_has_threshold():
    assert THRESHOLDS.keys() == {name for name in read_units() if name.endswith(".service")}


@pytest.mark.parametrize("name", THRESHOLDS)
def test_exposure_stays_below_threshold(root, name, monkeypatch):
    monkeypatch.chdir(root / "etc/systemd/system")
    options = ("--offline=true", "--no-pager", f"--root={root}")
    done = analyze("security", *options, f"--threshold={THRESHOLDS[name]}", name)
    level = re.search(r"exposure level for \S+: ([\d.]+)", done.stdout)
    assert level is not None, done.stderr
    assert done.returncode == 0, level[0]


def test_exposure_without_shared_file_is_above_threshold(root, monkeypatch):
    monkeypatch.chdir(root / "etc/systemd/system")
    shutil.rmtree(root / "etc/systemd/system/lesionserve-.service.d")
    options = ("--offline=true", "--no-pager", f"--root={root}", "--threshold=50")
    assert analyze("security", *options, "lesionserve-gateway.service").returncode == 1


def test_times_of_timers_are_valid_and_in_order():
    timers = {name: unit for name, unit in read_units().items() if name.endswith(".timer")}
    times = {name: unit.last("Timer.OnCalendar") for name, unit in timers.items()}
    done = analyze("calendar", *times.values())
    assert done.returncode == 0, done.stderr
    order = sorted(times, key=lambda name: times[name])
    assert order.index("lesionserve-backup.timer") < order.index("lesionserve-prune-audit.timer")


def test_specifiers_are_known():
    used = {
        specifier
        for unit in read_units().values()
        for command in unit.commands
        for specifier in re.findall(r"%\w", command)
    }
    assert used <= SPECIFIERS.keys()
