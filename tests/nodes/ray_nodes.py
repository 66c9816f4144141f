"""A Ray cluster whose nodes are machines of their own, as far as the network goes."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from cluster.launcher.process_group import die_with_parent
from serve_app.paths import ROOT
from tests.nodes.namespaces import Namespace, Network, inside
from tests.waiting import until

TOKEN = "t" * 32
_RAY_TOKEN = "r" * 64
_PORT = 6380
_DASHBOARD = "http://127.0.0.1:8265"
_STORE_BYTES = 128 * 1024 * 1024
_START_WITHIN_S = 120
_STARTS = 3
REDIS_PASSWORD = "p" * 32


@dataclass(frozen=True, slots=True)
class Size:
    """What a node offers to Ray. GPUs are numbers only."""

    cpus: int
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Replica:
    """A replica, and the machine on which it runs; None before it is placed."""

    deployment: str
    name: str
    state: str
    machine: str | None


@dataclass
class RayNode:
    """One machine with Ray on it, and the process `ray start --block`."""

    machine: str
    namespace: Namespace
    size: Size
    folder: Path
    environment: dict[str, str]
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def address(self) -> str:
        return self.namespace.address

    def start(self, *options: str) -> None:
        """Start Ray, as docs/deploy/systemd.md does."""
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *options]
        command += [f"--node-ip-address={self.address}", f"--temp-dir={self.folder}/ray"]
        command += [f"--num-cpus={self.size.cpus}", f"--num-gpus={self.size.gpus}"]
        command += [f"--object-store-memory={_STORE_BYTES}", "--metrics-export-port=8090"]
        with (self.folder / "ray.log").open("ab") as log:
            # Ray searches the machine's processes for others of its own.
            machine = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
            self.process = subprocess.Popen(
                self.namespace.command(*machine, *command),
                env=self.environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def command(self, *command: str) -> list[str]:
        """Return the command that runs another one beside Ray, on the same machine."""
        assert self.process is not None, "Ray was not started here"
        (first,) = psutil.Process(self.process.pid).children()
        return ["nsenter", f"--target={first.pid}", "--pid", "--mount", "--net", *command]

    def kill(self) -> None:
        """Kill every process of the machine."""
        self.namespace.kill()
        if self.process is not None:
            self.process.wait(30)

    def log(self) -> str:
        path = self.folder / "ray.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else "(no log)"


@dataclass
class NodeCluster:
    """The nodes by their machine. The first one is the head, which runs no replica."""

    network: Network
    folder: Path
    redis: str
    settings: Mapping[str, str]
    nodes: dict[str, RayNode] = field(default_factory=dict)

    @property
    def head(self) -> RayNode:
        return self.nodes["head"]

    @property
    def workers(self) -> list[RayNode]:
        return [node for node in self.nodes.values() if node is not self.head]

    def add(self, machine: str, size: Size) -> RayNode:
        """Add a machine, on which Ray does not run yet."""
        folder = self.folder / machine
        folder.mkdir()
        environment = os.environ | {
            "LESIONSERVE_SERVICE_TOKENS": TOKEN,
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": _RAY_TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_TMPDIR": str(folder),
            # Replicas would starve beside the tests' other work.
            "RAY_worker_niceness": "0",
            # Of 5 s, in which a proxy does not start on a busy machine.
            "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",
            **self.settings,
        }
        environment.pop("RAY_ADDRESS", None)
        if machine == "head":
            environment["RAY_REDIS_ADDRESS"] = self.redis
            environment["RAY_external_storage_namespace"] = "lesionserve"
        node = RayNode(machine, self.network.add(machine), size, folder, environment)
        self.nodes[machine] = node
        return node

    def start(self, machine: str) -> None:
        """Start Ray on a machine, and wait until it has joined.

        On a busy machine Ray's own time-outs may end it; its unit starts it again then, too.
        """
        node = self.nodes[machine]
        for _ in range(_STARTS):
            if node is self.head:
                node.start("--head", f"--port={_PORT}", f"--redis-password={REDIS_PASSWORD}")
            else:
                node.start(f"--address={self.head.address}:{_PORT}")
            until(lambda: self.has_joined(machine) or not node.is_running, _START_WITHIN_S)
            if node.is_running:
                return
        raise AssertionError(node.log())

    def has_joined(self, machine: str) -> bool:
        return self.nodes[machine].address in self.alive()

    def alive(self) -> set[str]:
        """Return the addresses of the nodes that the head takes for alive; none without a head."""
        document = self._ask("/api/v0/nodes?limit=1000")
        if document is None or not document["result"]:
            return set()
        rows = document["data"]["result"]["result"]
        return {row["node_ip"] for row in rows if row["state"] == "ALIVE"}

    def replicas(self, deployment: str = "") -> list[Replica]:
        """Return the replicas of a deployment, or of all. Wait for the head where it is away."""
        document = self.serve()
        machines: dict[str | None, str] = {
            node.address: machine for machine, node in self.nodes.items()
        }
        deployments = document["applications"].get("lesionserve", {"deployments": {}})
        return [
            Replica(
                name, replica["replica_id"], replica["state"], machines.get(replica.get("node_ip"))
            )
            for name, details in deployments["deployments"].items()
            for replica in details["replicas"]
            if deployment in ("", name)
        ]

    def running(self, deployment: str = "") -> list[Replica]:
        return [replica for replica in self.replicas(deployment) if replica.state == "RUNNING"]

    def proxies(self) -> set[str]:
        """Return the machines on which a Serve proxy is healthy."""
        machines = {node.address: machine for machine, node in self.nodes.items()}
        proxies = self.serve()["proxies"].values()
        return {machines[p["node_ip"]] for p in proxies if p["status"] == "HEALTHY"}

    def is_whole(self) -> bool:
        """Return whether every deployment of the application is as it should be."""
        application = self.serve()["applications"].get("lesionserve")
        return application is not None and all(
            [
                application["status"] == "RUNNING",
                *(d["status"] == "HEALTHY" for d in application["deployments"].values()),
            ]
        )

    def serve(self) -> dict[str, Any]:
        """Return what Ray Serve says of itself."""
        deadline = time.monotonic() + 120
        while (document := self._ask("/api/serve/applications/")) is None:
            assert time.monotonic() < deadline, self.head.log()
            time.sleep(0.2)
        return document

    def run_deploy(self, profile: Path, *options: object) -> "subprocess.CompletedProcess[str]":
        process = self.start_deploy(profile, *options)
        _, stderr = process.communicate(timeout=400)
        return subprocess.CompletedProcess(process.args, process.returncode, "", stderr)

    def start_deploy(self, profile: Path, *options: object) -> "subprocess.Popen[str]":
        """Start `lesionserve deploy` on the head."""
        code = "from cluster.cli.main import main; main()"
        command = [sys.executable, "-c", code, "deploy", str(profile), *map(str, options)]
        return subprocess.Popen(
            self.head.command(*command),
            env=self.head.environment,
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=die_with_parent,
        )

    def processes(self, machine: str, title: str) -> list[psutil.Process]:
        """Return the processes of a machine whose command line has this in it."""
        processes = []
        for process in self.nodes[machine].namespace.processes():
            try:
                if title in " ".join(process.cmdline()):
                    processes.append(process)
            except psutil.Error:
                continue
        return processes

    def _ask(self, path: str) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {_RAY_TOKEN}"}
        with inside(self.head.namespace):
            try:
                response = httpx.get(
                    f"{_DASHBOARD}{path}", headers=headers, timeout=10, trust_env=False
                )
            except httpx.TransportError:
                return None
        if not response.is_success:
            return None
        document: dict[str, Any] = response.json()
        return document


def read_settings(path: Path) -> dict[str, str]:
    """Return the settings of an environment file that are not commented out."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


@contextmanager
def short_folder() -> Iterator[Path]:
    """Make a folder with a short path, for the sockets in it."""
    folder = Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
