"""The gateway as `lesionserve up` starts it, and as docs/operations.md says; without a graph."""

import os
import re
import shlex
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from cluster.launcher.stack import LocalStack, StackOptions
from serve_app.args import ROOT
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


def stack_in(data: Path) -> LocalStack:
    stack = LocalStack(StackOptions(data=data), print)
    stack._temp = data
    stack._choose_ports()
    stack._make_folders()
    stack._manage("migrate", "--verbosity", "0")
    return stack


def up(data: Path) -> Started:
    stack = stack_in(data)
    return stack._start_gateway(), stack._gateway_port


def by_the_book(data: Path) -> Started:
    """With the command of docs/operations.md, on another port."""
    stack = stack_in(data)
    told = (ROOT / "docs/operations.md").read_text()
    (command,) = re.findall(r"^ +(uvicorn (?:.*\\\n)*.*)$", told, re.MULTILINE)
    command = command.replace("\\\n", "").replace("--port 8080", f"--port {stack._gateway_port}")
    environment = {**os.environ, **stack._settings, "LESIONSERVE_HTTPS_ONLY": "false"}
    child = subprocess.Popen([sys.executable, "-m", *shlex.split(command)], env=environment)
    return child, stack._gateway_port


@contextmanager
def answering(started: Started) -> Iterator[Gateway]:
    child, gateway = started[0], Gateway(started[1])
    try:
        deadline = time.monotonic() + 60
        while not answers(gateway):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield gateway
    finally:
        child.terminate()
        child.wait(30)


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


def test_what_a_client_claims_of_its_address_is_not_believed(tmp_path):
    with answering(up(tmp_path)) as gateway:
        assert gateway.predict(b"x", *FORGED).status == 401
    assert recorded(tmp_path) == ("127.0.0.1", 401)


@pytest.mark.parametrize("start", [up, by_the_book])
def test_a_websocket_is_refused_as_any_other_request_is(tmp_path, start):
    with answering(start(tmp_path)) as gateway:
        response = gateway.get("/predict/", *UPGRADE)
    assert_problem(response, 405, "method_not_allowed")
    assert recorded(tmp_path) == ("127.0.0.1", 405)


@pytest.mark.parametrize("start", [up, by_the_book])
def test_a_gateway_that_cannot_open_what_it_needs_does_not_serve(tmp_path, start, monkeypatch):
    monkeypatch.setenv("LESIONSERVE_REDIS_URL", "redis://127.0.0.1/0?socket_timeout=soon")
    child, _ = start(tmp_path)
    try:
        assert child.wait(60) != 0
    finally:
        child.kill()
