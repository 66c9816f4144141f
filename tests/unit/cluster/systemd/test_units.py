"""The units fit together, and each of these changes is noticed."""

import shutil
from pathlib import Path

import pytest

from serve_app.paths import ROOT
from tests.unit.cluster.systemd.consistency import Files, faults
from tests.unit.cluster.systemd.units import HARDENING, SIZES, SYSTEMD, UNITS, read_units

GUIDE = ROOT / "docs/deploy/systemd.md"


def read_files(units: Path = UNITS, **changes: str) -> Files:
    texts = {
        "hardening": HARDENING.read_text(),
        "sysusers": (SYSTEMD / "etc/sysusers.d/lesionserve.conf").read_text(),
        "sizes": SIZES.read_text(),
        "guide": GUIDE.read_text(),
        "nginx": (ROOT / "cluster/nginx/gateway.conf").read_text(),
    } | changes
    return Files(units=read_units(units, texts["hardening"]), **texts)


def test_units_scripts_and_guide_fit_together():
    assert list(faults(read_files())) == []


# File, what is replaced, by what, and a part of what is reported
MUTANTS = [
    ("gateway.service", ".venv/bin/uvicorn", ".venv/bin/uvicron", "is not installed"),
    ("gateway.service", "systemd/wait-for", "systemd/wait_for", "no program of the repository"),
    ("gateway.service", "User=lesionserve-gateway", "User=lesionserve", "not in sysusers.d"),
    ("gateway.service", "User=lesionserve-gateway\n", "", "root is not in sysusers.d"),
    ("gateway.service", "lesionserve/gateway.env", "lesionserve/gatway.env", "gatway.env is not"),
    ("gateway.service", "Environment=LESIONSERVE_WORKERS=1",
     "Environment=LESIONSERVE_AUDIT_KEY=x", "is a secret"),
    ("gateway.service", "${LESIONSERVE_WORKERS}", "${LESIONSERVE_WORKRES}", "has no value"),
    ("gateway.service", "StateDirectory=lesionserve-gateway\n", "", "is not made by"),
    ("gateway.service", "StateDirectoryMode=0700", "StateDirectoryMode=0755", "open to others"),
    ("gateway.service", "%t/lesionserve-gateway", "/var/tmp/metrics", "metrics of former"),
    ("gateway.service", " --http gateway.protocol:GatewayProtocol", "", "the guide has --http"),
    ("gateway.service", "8080/healthz", "8081/healthz", "another address than the socket's"),
    ("gateway.service", "TimeoutStopSec=45s", "TimeoutStopSec=30s", "are killed at its end"),
    ("gateway.service", "KillMode=mixed", "KillMode=control-group", "behind its back"),
    ("gateway.service", "Requires=lesionserve-gateway.socket", "Requires=", "does not need"),
    ("gateway.service", "MemoryMax=4G\n", "", "has no bound"),
    ("gateway.service", "OnFailure=lesionserve-failed@%n.service\n", "", "nobody sees"),
    ("gateway.service", "PrivateUsers=yes", "PrivateUsers=yes\nUMask=0022", "UMask is not as all"),
    ("gateway.socket", "127.0.0.1:8080", "127.0.0.1:8090", "nginx asks another address"),
    ("backup.service", "${LESIONSERVE_BACKUPS}", "14", "no unit uses LESIONSERVE_BACKUPS"),
    ("backup.timer", "Persistent=yes\n", "", "is left out"),
    ("backup.timer", "WantedBy=timers.target\n", "", "enabling it does nothing"),
    ("failed@.service", "SyslogLevel=err", "SyslogLevel=info", "does not log an error"),
    ("ray-head.service", "--port=6380", "--port=6379", "the head listens on another port"),
    ("ray-head.service", "%t/lesionserve-serve\n", "/var/tmp\n", "written to a disk"),
    ("ray-worker.service", " --plasma-directory=/dev/shm", "", "written to a disk"),
    ("ray-worker.service", " --block", "", "--block is missing"),
    ("ray-worker.service", "DevicePolicy=closed\n", "", "other devices"),
    ("ray-worker.service", "DeviceAllow=char-nvidia* rw\n", "", "may not use a GPU"),
    ("ray-head.service", "--temp-dir=%S/lesionserve-serve/ray",
     "--temp-dir=%S/lesionserve-serve/ray-with-a-long-name", "too long"),
    ("deploy.service", "PartOf=lesionserve-ray-head.service\n", "", "Unit.PartOf does not name"),
    ("deploy.service", "RestartPreventExitStatus=2 4", "RestartPreventExitStatus=2", "second try"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "fault"), MUTANTS)
def test_changed_unit_is_noticed(name, old, new, fault, tmp_path):
    folder = tmp_path / "system"
    shutil.copytree(UNITS, folder)
    path = folder / f"lesionserve-{name}"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert fault in "\n".join(faults(read_files(folder)))


def test_missing_timer_is_noticed(tmp_path):
    folder = tmp_path / "system"
    shutil.copytree(UNITS, folder)
    (folder / "lesionserve-verify-audit.timer").unlink()
    assert "a timer without a service" in "\n".join(faults(read_files(folder)))


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("hardening", "LimitCORE=0\n", "", "a core dump would hold images"),
        ("sysusers", "lesionserve-serve ", "lesion-serve ", "not in sysusers.d"),
        (
            "sizes",
            "LESIONSERVE_PROFILE=",
            "LESIONSERVE_PROFIL=",
            "LESIONSERVE_PROFILE has no value",
        ),
        ("guide", "lesionserve-backup.timer", "backup.timer", "is not in the guide"),
        ("guide", "/etc/lesionserve/units.env", "units.env", "is not in the guide"),
        ("nginx", "server 127.0.0.1:8080;", "server 127.0.0.1:80;", "nginx asks another address"),
    ],
)
def test_changed_other_file_is_noticed(file, old, new, fault):
    text = getattr(read_files(), file)
    assert old in text
    assert fault in "\n".join(faults(read_files(**{file: text.replace(old, new)})))
