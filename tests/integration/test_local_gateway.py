"""The gateway as `lesionserve up` and docs/deploy/systemd.md start it, without a graph."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from cluster.launcher.gateway_commands import GatewayCommands
from cluster.launcher.gateway_process import GatewayProcess
from cluster.launcher.ports import choose_ports
from cluster.launcher.process_group import Child, ProcessGroup
from cluster.launcher.workspace import Workspace, open_workspace
from serve_app.paths import ROOT
from tests.integration.gateway.client import Gateway
from tests.integration.gateway.records import assert_problem

UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)
FORGED = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https")

Started = tuple[subprocess.Popen[bytes], int]  # the gateway and its port
Start = Callable[[Path], AbstractContextManager[Started]]


class RecordingGroup(ProcessGroup):
    """Keeps the last child that it started."""

    child: Child

    def start(self, *arguments, **options) -> Child:
        self.child = super().start(*arguments, **options)
        return self.child


@contextmanager
def up(data: Path) -> Iterator[Started]:
    """Start the gateway as `lesionserve up` does."""
    (port,) = choose_ports([None])
    group = RecordingGroup()
    with migrated_workspace(data) as workspace:
        GatewayProcess(group, workspace, port, "http://127.0.0.1")
        try:
            yield group.child, port
        finally:
            # Not group.stop(), which ends every child of the tests.
            group.child.terminate()
            group.child.wait(30)


@contextmanager
def by_the_book(data: Path) -> Iterator[Started]:
    """Start the gateway with the command of docs/deploy/systemd.md, on another port."""
    (port,) = choose_ports([None])
    guide = (ROOT / "docs/deploy/systemd.md").read_text()
    (command,) = re.findall(r"^ +(uvicorn gateway\.asgi(?:.*\\\n)*.*)$", guide, re.MULTILINE)
    command = command.replace("\\\n", "").replace("--port 8080", f"--port {port}")
    with migrated_workspace(data) as workspace:
        settings = {**workspace.gateway_settings, "LESIONSERVE_HTTPS_ONLY": "false"}
        environment = {**os.environ, **settings}
        child = subprocess.Popen([sys.executable, "-m", *shlex.split(command)], env=environment)
        try:
            yield child, port
        finally:
            child.terminate()
            child.wait(30)


@contextmanager
def migrated_workspace(data: Path) -> Iterator[Workspace]:
    with open_workspace(data, tls=False, say=print) as workspace:
        GatewayCommands(workspace, print).migrate()
        yield workspace


@contextmanager
def answering(start: Start, data: Path) -> Iterator[Gateway]:
    with start(data) as (child, port):
        gateway = Gateway(port)
        deadline = time.monotonic() + 60
        while not answers(gateway):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield gateway


def answers(gateway: Gateway) -> bool:
    try:
        return gateway.get("/healthz").status == 200
    except ConnectionError:
        return False


def recorded(data: Path) -> tuple[str, int]:
    """The address and the status of the one record."""
    with closing(sqlite3.connect(data / "lesionserve.sqlite3")) as database:
        (record,) = database.execute("SELECT address, status FROM usage_record")
        return record


def test_forwarding_headers_of_clients_are_ignored(tmp_path):
    with answering(up, tmp_path) as gateway:
        assert gateway.predict(b"x", *FORGED).status == 401
    assert recorded(tmp_path) == ("127.0.0.1", 401)


@pytest.mark.parametrize("start", [up, by_the_book])
def test_websocket_is_refused(tmp_path, start):
    with answering(start, tmp_path) as gateway:
        response = gateway.get("/predict/", *UPGRADE)
    assert_problem(response, 405, "method_not_allowed")
    assert recorded(tmp_path) == ("127.0.0.1", 405)


@pytest.mark.parametrize("start", [up, by_the_book])
def test_gateway_with_failing_lifespan_does_not_serve(tmp_path, start, monkeypatch):
    monkeypatch.setenv("LESIONSERVE_REDIS_URL", "redis://127.0.0.1/0?socket_timeout=soon")
    with start(tmp_path) as (child, _):
        assert child.wait(60) != 0
