"""The gateway's unit and the scripts of the units, run as systemd runs them but without it."""

import os
import pwd
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serve_app.paths import ROOT
from tests.integration.gateway.client import Gateway
from tests.integration.gateway.databases import Database, Databases
from tests.unit.cluster.systemd.units import SYSTEMD, arguments, read_units


@pytest.fixture
def database(of_sqlite: Databases) -> Database:
    return of_sqlite.keyed()


def run(command: list[str], environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@contextmanager
def gateway_of_unit(
    listener: socket.socket, database: Database, folder: Path, workers: int
) -> Iterator["subprocess.Popen[bytes]"]:
    """The command line of the unit, with the listening socket as descriptor 3."""
    unit = read_units()["lesionserve-gateway.service"]
    values = unit.environment | {"LESIONSERVE_WORKERS": str(workers)}
    program, *line = arguments(unit.last("Service.ExecStart"), values)
    assert program.endswith("/uvicorn")
    command = [sys.executable, "-m", "uvicorn", *line]
    process = subprocess.Popen(
        ["bash", "-c", f'exec "$@" 3<&{listener.fileno()}', "bash", *command],
        env=database.environment | {"PROMETHEUS_MULTIPROC_DIR": str(folder)},
        cwd=ROOT,
        pass_fds=[listener.fileno()],
    )
    try:
        yield process
    finally:
        process.terminate()
        assert process.wait(60) is not None


@pytest.mark.parametrize("workers", [1, 2])
def test_connection_during_restart_is_answered_after_it(database, tmp_path, workers):
    database.changes["LESIONSERVE_HTTPS_ONLY"] = "false"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        port = listener.getsockname()[1]
        with gateway_of_unit(listener, database, tmp_path, workers):
            assert Gateway(port).get("/healthz").status == 200
        waiting = [socket.create_connection(("127.0.0.1", port), timeout=60) for _ in range(5)]
        for client in waiting:
            client.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        with gateway_of_unit(listener, database, tmp_path, workers):
            for client in waiting:
                assert client.recv(15) == b"HTTP/1.1 200 OK"
                client.close()


def test_audit_record_has_address_that_nginx_names(database, tmp_path):
    database.changes["LESIONSERVE_HTTPS_ONLY"] = "false"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(100)
        with gateway_of_unit(listener, database, tmp_path, 1):
            gateway = Gateway(listener.getsockname()[1])
            assert gateway.predict(b"", "X-Forwarded-For: 192.0.2.7").status == 401
    assert database.execute("SELECT address FROM usage_record") == [("192.0.2.7",)]


def wait_for(url: str, pid: int) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "MAINPID": str(pid)}
    return run([str(SYSTEMD / "wait-for"), url], environment)


def test_start_waits_until_gateway_answers(gateway):
    assert wait_for(f"http://127.0.0.1:{gateway.port}/healthz", os.getpid()).returncode == 0


def test_start_fails_at_once_where_service_has_ended():
    ended = subprocess.Popen(["true"])
    ended.wait()
    with socket.socket() as listener:  # which nobody listens at
        listener.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/healthz"
        done = wait_for(url, ended.pid)
    assert done.returncode == 1
    assert done.stderr == f"the service ended before {url} answered\n"


def verify_audit(database: Database, folder: Path) -> "subprocess.CompletedProcess[str]":
    environment = database.environment | {"LESIONSERVE_PYTHON": sys.executable}
    return run([str(SYSTEMD / "verify-audit"), str(folder)], environment)


def test_verification_is_kept_and_compared_with_last_one(database, tmp_path):
    folder = tmp_path / "listings"
    folder.mkdir()
    (folder / "verified-20200101T000000Z.txt").touch()
    first = verify_audit(database, folder)
    assert first.returncode == 0, first.stderr
    assert max(folder.iterdir()).read_text() == first.stdout
    assert first.stdout.startswith("events ")
    # Somebody deletes the last row and the day's head with it: only the comparison shows it.
    database.execute("DELETE FROM usage_event")
    database.execute("DELETE FROM usage_head")
    second = verify_audit(database, folder)
    assert second.returncode == 1
    assert "is not there as it was printed" in second.stderr
    names = sorted(path.name.partition("-")[0] for path in folder.iterdir())
    assert names == ["failed", "verified", "verified"]
    # The failed listing is never what is compared with.
    assert "is not there as it was printed" in verify_audit(database, folder).stderr


def test_verification_keeps_thirty_listings(database, tmp_path):
    folder = tmp_path / "listings"
    folder.mkdir()
    for day in range(1, 32):
        (folder / f"verified-202001{day:02d}T000000Z.txt").touch()
    assert verify_audit(database, folder).returncode == 0
    names = sorted(path.name for path in folder.iterdir())
    assert len(names) == 30
    assert names[0] == "verified-20200103T000000Z.txt"


@pytest.mark.skipif(os.geteuid() != 0, reason="changes the user, which only root may")
def test_manage_script_runs_command_as_user_of_service(tmp_path):
    user = "nobody"
    folder = tmp_path / "state"
    (tmp_path / "gateway.env").write_text("LESIONSERVE_AUDIT_KEY='a key'\n")
    (tmp_path / "python").write_text(
        '#!/bin/sh\nid -un; pwd; umask; echo "$@" "$LESIONSERVE_AUDIT_KEY"'
    )
    (tmp_path / "python").chmod(0o755)
    for parent in (tmp_path, *tmp_path.parents):
        if parent == Path(tempfile.gettempdir()):
            break
        parent.chmod(0o755)
    script = (SYSTEMD / "lesionserve-manage").read_text()
    for path, new in {
        "/etc/lesionserve/gateway.env": tmp_path / "gateway.env",
        "/var/lib/lesionserve-gateway": folder,
        "user=lesionserve-gateway": f"user={user}",
        '-g "$user"': "-g nogroup",
        "/opt/lesionserve/.venv/bin/python": tmp_path / "python",
    }.items():
        assert script.count(path) == 1
        script = script.replace(path, str(new))
    done = run(["sh", "-c", script, "manage", "list_keys", "two words"], dict(os.environ))
    assert pwd.getpwnam(user)
    assert done.stdout.splitlines() == [
        user, str(folder), "0077", "-m gateway.manage list_keys two words a key",
    ], done.stderr  # fmt: skip
