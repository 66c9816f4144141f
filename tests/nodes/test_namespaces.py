"""The machines of the network: cut off, killed, and removed in the end, whatever ends the test."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from serve_app.paths import ROOT
from tests.nodes.namespaces import (
    Namespace,
    Network,
    inside,
    namespace_names,
    network,
    reason_to_skip,
)
from tests.waiting import until

pytestmark = pytest.mark.nodes
# A process that makes a network with a server in it, and waits.
_OWNER = """
import subprocess, time
from tests.nodes.namespaces import network
with network() as net:
    machine = net.add("machine")
    subprocess.Popen(machine.command("sleep", "1000"))
    print(machine.name, flush=True)
    time.sleep(1000)
"""


@pytest.fixture(scope="module", autouse=True)
def _allowed() -> None:
    if reason := reason_to_skip():
        pytest.skip(reason)


@pytest.fixture
def net() -> Iterator[Network]:
    with network() as net:
        yield net


def listen(machine: Namespace) -> "subprocess.Popen[bytes]":
    command = machine.command(sys.executable, "-m", "http.server", "8000")
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: reaches(machine), 60)
    return server


def reaches(machine: Namespace) -> bool:
    try:
        socket.create_connection((machine.address, 8000), timeout=1).close()
    except OSError:
        return False
    return True


def test_cut_machine_is_not_reached_until_it_is_mended(net):
    front, machine = net.add("front"), net.add("machine")
    with inside(front):
        listen(machine)
        machine.cut()
        assert not reaches(machine)
        machine.mend()
        until(lambda: reaches(machine), 60)


def test_killed_machine_loses_its_processes_only(net):
    front, machine, other = net.add("front"), net.add("machine"), net.add("other")
    with inside(front):
        servers = listen(machine), listen(other)
        machine.kill()
        assert servers[0].wait(30) == -signal.SIGKILL
        assert machine.processes() == []
        assert reaches(other)


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_network_is_removed_after_interrupt_and_kill(signum):
    owner = subprocess.Popen(
        [sys.executable, "-c", _OWNER], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert owner.stdout is not None
    name = owner.stdout.readline().decode().strip()
    assert name in namespace_names()
    owner.send_signal(signum)
    owner.wait(60)
    owner.stdout.close()
    if signum == signal.SIGKILL:
        assert name in namespace_names(), "nobody could remove it yet"
        with network():
            pass
    assert name not in namespace_names()
    assert not any(name in line for line in subprocess.getoutput("ip netns list").splitlines())
