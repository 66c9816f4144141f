"""`lesionserve-manage` reads gateway.env as systemd does: no character has a shell's meaning."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.unit.cluster.systemd.units import SYSTEMD

URL = "postgresql://clinic:p%40ss@db.example/lesions?sslmode=verify-full&sslrootcert=/etc/ca.crt"
AWKWARD = "a&b;c $HOME `id` #d (e) *"


def manage(tmp_path: Path, settings: str) -> "subprocess.CompletedProcess[str]":
    """Run the script with these settings; its command prints DATABASE_URL and LESIONSERVE_KEY."""
    (tmp_path / "gateway.env").write_text(settings)
    command = tmp_path / "python"
    command.write_text('#!/bin/sh\nprintf \'%s\\n\' "${DATABASE_URL-unset}" "${LESIONSERVE_KEY-}"')
    command.chmod(0o755)
    script = (SYSTEMD / "lesionserve-manage").read_text()
    for old, new in {
        "/etc/lesionserve/gateway.env": str(tmp_path / "gateway.env"),
        "/var/lib/lesionserve-gateway": str(tmp_path),
        'runuser -u "$user" -- ': "",
        "/opt/lesionserve/.venv/bin/python": str(command),
    }.items():
        assert script.count(old) == 1
        script = script.replace(old, new)
    variables = {"PATH": os.environ["PATH"], "HOME": "/root"}
    return subprocess.run(
        ["sh", "-c", script, "manage", "check"], env=variables, capture_output=True, text=True
    )


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_value_with_ampersand_reaches_command_whole(tmp_path, quote):
    done = manage(tmp_path, f"DATABASE_URL={quote}{URL}{quote}\n")
    assert done.stdout.splitlines()[0] == URL, done.stderr


@pytest.mark.parametrize("quote", ["", "'", '"'])
def test_value_has_no_meaning_for_shell(tmp_path, quote):
    done = manage(tmp_path, f"LESIONSERVE_KEY={quote}{AWKWARD}{quote}")
    assert done.stdout.splitlines()[1] == AWKWARD, done.stderr


def test_comments_blanks_and_line_ends_are_no_values(tmp_path):
    settings = (
        "# DATABASE_URL=a\n\n; b\r\n  DATABASE_URL=sqlite:////c  \nLESIONSERVE_KEY='x\"\\y'\r\n"
    )
    done = manage(tmp_path, settings)
    assert done.stdout.splitlines() == ["sqlite:////c", 'x"\\y'], done.stderr


@pytest.mark.parametrize(
    "line",
    [
        "DATABASE_URL",
        "export DATABASE_URL=secret",
        "DATABASE_URL = secret",
        "DATABASE_URL= secret",
        "DATABASE_URL=secret \r",
        "DATABASE_URL='secret",
        'DATABASE_URL="secret',
        "DATABASE_URL='secret' 'two'",
        'DATABASE_URL="secret" "two"',
        'DATABASE_URL="secret\\"',
        "DATABASE_URL=secret\\",
        "1DATABASE=secret",
        "=secret",
    ],
)
def test_line_that_systemd_may_read_otherwise_is_refused(tmp_path, line):
    done = manage(tmp_path, f"# the database\n{line}\n")
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{tmp_path}/gateway.env: line 2" in done.stderr
    assert "secret" not in done.stderr


def test_missing_settings_stop_command(tmp_path):
    script = (SYSTEMD / "lesionserve-manage").read_text()
    script = script.replace("/etc/lesionserve/", f"{tmp_path}/none/")
    script = script.replace("/var/lib/lesionserve-gateway", str(tmp_path)).replace(
        "runuser", "echo"
    )
    done = subprocess.run(["sh", "-c", script, "manage"], capture_output=True, text=True)
    assert done.returncode != 0
    assert (done.stdout, "none/gateway.env" in done.stderr) == ("", True)
