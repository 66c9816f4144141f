"""Machines on one machine: network namespaces that a bridge in one more namespace connects."""

import ctypes
import itertools
import os
import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

_CLONE_NEWNET = 0x40000000
_PREFIX = "ls"
_SUBNET = "10.77.0"
_NAMESPACES = Path("/run/netns")
_KILL_WITHIN_S = 30
_numbers = itertools.count(1)
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Namespace:
    """A namespace with one network card, whose cable `cut` pulls out and `mend` plugs in.

    cable: the other end of the card, at the bridge in the namespace `hub`.
    """

    name: str
    address: str
    cable: str
    hub: str

    def command(self, *command: str) -> list[str]:
        """Return the command that runs another one there."""
        return ["ip", "netns", "exec", self.name, *command]

    def cut(self) -> None:
        """Cut the namespace off: no packet comes in or goes out, and nobody is told."""
        _ip("-n", self.hub, "link", "set", self.cable, "down")

    def mend(self) -> None:
        _ip("-n", self.hub, "link", "set", self.cable, "up")

    def processes(self) -> list[psutil.Process]:
        """Return the processes that run there."""
        processes = []
        for pid in _output("ip", "netns", "pids", self.name).split():
            try:
                processes.append(psutil.Process(int(pid)))
            except psutil.NoSuchProcess:
                continue
        return processes

    def kill(self) -> None:
        """Kill every process that runs there, as a loss of power does."""
        _kill(self.name)


@dataclass
class Network:
    """The namespaces by the name of their machine. The host's network is not touched.

    owner: process id and number of the network, since a process may have several.
    """

    owner: str = field(default_factory=lambda: f"{os.getpid()}n{next(_numbers)}")
    machines: dict[str, Namespace] = field(default_factory=dict)

    @property
    def _hub(self) -> str:
        return self._name("hub")

    def add(self, machine: str) -> Namespace:
        """Add a machine to the network, with an address of its own."""
        number = len(self.machines) + 11
        address, cable, name = f"{_SUBNET}.{number}", f"cable{number}", self._name(machine)
        _ip("netns", "add", name)
        veth = ("type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("-n", self._hub, "link", "add", cable, *veth)
        _ip("-n", self._hub, "link", "set", cable, "master", "bridge", "up")
        _ip("-n", name, "addr", "add", f"{address}/24", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        _ip("-n", name, "link", "set", "lo", "up")
        # Ray finds its address by the route that a packet to the world would take.
        _ip("-n", name, "route", "add", "default", "via", f"{_SUBNET}.1")
        namespace = Namespace(name, address, cable, self._hub)
        self.machines[machine] = namespace
        return namespace

    def _name(self, machine: str) -> str:
        return f"{_PREFIX}{self.owner}-{machine}"

    def _create(self) -> None:
        _ip("netns", "add", self._hub)
        _ip("-n", self._hub, "link", "add", "bridge", "type", "bridge")
        _ip("-n", self._hub, "addr", "add", f"{_SUBNET}.1/24", "dev", "bridge")
        _ip("-n", self._hub, "link", "set", "bridge", "up")
        _ip("-n", self._hub, "link", "set", "lo", "up")


def reason_to_skip() -> str | None:
    """Return why no namespaces can be made here; None where they can."""
    if os.geteuid() != 0:
        return "needs root, for network namespaces"
    name = f"{_PREFIX}{os.getpid()}-try"
    try:
        _ip("netns", "add", name)
        try:
            _ip("-n", name, "link", "add", "name", "veth-a", "type", "veth")
        finally:
            _ip("netns", "del", name)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces are not allowed: {getattr(error, 'stderr', '') or error}"
    return None


@contextmanager
def network() -> Iterator[Network]:
    """Make a network, and remove it and all processes in it in the end.

    What a test run left that was killed is removed first.
    """
    _remove_orphans()
    network = Network()
    try:
        network._create()
        yield network
    finally:
        _remove(network.owner)


@contextmanager
def inside(namespace: Namespace) -> Iterator[None]:
    """Move this thread, and the threads and processes that it starts, into a namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(_NAMESPACES / namespace.name, os.O_RDONLY)
    try:
        _enter(there)
        yield
    finally:
        _enter(home)
        os.close(there)
        os.close(home)


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _remove_orphans() -> None:
    for name in namespace_names():
        owner = name[len(_PREFIX) :].partition("-")[0]
        if not psutil.pid_exists(int(owner.partition("n")[0])):
            _remove(owner)


def _remove(owner: str) -> None:
    names = [name for name in namespace_names() if name.startswith(f"{_PREFIX}{owner}-")]
    for name in names:
        _kill(name)
    for name in names:
        _ip("netns", "del", name)


def _kill(name: str) -> None:
    deadline = time.monotonic() + _KILL_WITHIN_S
    own = {os.getpid()}  # while a test runs in the namespace
    while pids := {int(pid) for pid in _output("ip", "netns", "pids", name).split()} - own:
        assert time.monotonic() < deadline, f"processes that cannot be killed: {pids}"
        for pid in pids:
            try:
                psutil.Process(pid).kill()
            except psutil.NoSuchProcess:
                continue
        time.sleep(0.05)


def namespace_names() -> list[str]:
    """Return the names of all namespaces that test runs have made."""
    if not _NAMESPACES.is_dir():
        return []
    pattern = re.compile(rf"{_PREFIX}\d+n\d+-[a-z0-9-]+")
    return sorted(path.name for path in _NAMESPACES.iterdir() if pattern.fullmatch(path.name))


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True, text=True, timeout=30)


def _output(*command: Sequence[str] | str) -> str:
    return subprocess.check_output([str(word) for word in command], text=True, timeout=30)
