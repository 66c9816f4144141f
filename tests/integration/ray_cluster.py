"""A Ray cluster with a dashboard, as `ray start --head` makes it, and clients who ask while bundles
are rolled on it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import yaml

from cluster.deploy.errors import Exit
from cluster.launcher.ports import choose_ports
from cluster.launcher.process_group import die_with_parent
from serve_app.paths import ROOT
from tests.integration.small_bundles import IMAGE
from tests.waiting import until

TOKEN = "t" * 32
_COMMAND = "from cluster.cli.main import main; main()"
QUEUE = {"max_ongoing_requests": 16, "max_queued_requests": 32}
SIZE = QUEUE | {"num_replicas": 1, "num_cpus": 1}
GRAPHS: dict[str, dict[str, Any]] = {
    "fused": {"layout": "fused", "ingress": SIZE, "pipeline": QUEUE},
    "staged": {
        "layout": "staged",
        "ingress": SIZE | {"num_replicas": 2},
        "preprocess": SIZE,
        "predictor": SIZE,
        "postprocess": SIZE,
    },
}


@dataclass(frozen=True)
class RayCluster:
    """One head, whose sessions, sockets and address file are below `folder`."""

    folder: Path
    address: str
    url: str
    environment: dict[str, str]
    pid: int

    def profile(self, bundle: Path, layout: str = "fused", **sizes: Any) -> Path:
        """Write a profile whose ingress is at `url`; `sizes` replace those of the model."""
        graph = json.loads(json.dumps(GRAPHS[layout]))
        graph["ingress" if layout == "fused" else "predictor"] |= sizes
        port = int(self.url.rpartition(":")[2])
        document = {
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": port},
            "logging_config": {"encoding": "JSON", "log_level": "INFO"},
            "applications": [
                {
                    "name": "lesionserve",
                    "import_path": "serve_app.app:build_app",
                    "args": {
                        "model": {
                            "bundle": str(bundle),
                            "device": "cpu",
                            "threads": 1,
                            "max_batch_size": 2,
                        },
                        "graph": graph,
                        "threads": 1,
                    },
                }
            ],
        }
        path = self.folder / f"{layout}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def deploy(self, *arguments: object, **environment: str) -> "subprocess.CompletedProcess[str]":
        """Run the command as an operator does on the head."""
        return self._run(_COMMAND, arguments, environment)

    def serve(self, profile: Path, version: str) -> None:
        """Deploy the profile's bundle, which is of this version, unless it serves already."""
        if self.version() != version:
            done = self.deploy(profile, "--other-classes")
            assert done.returncode == Exit.SERVES, done.stderr
        assert self.version() == version

    def deploy_untried(self, *arguments: object) -> "subprocess.CompletedProcess[str]":
        """Run the command without its trial of the model: a node that differs from the others."""
        code = "from cluster.deploy import checks; from cluster.cli.main import main; "
        code += "from serve_app.node_check import TrialReport; "
        code += "checks.check_model = lambda *_: TrialReport(None, 'no', 0); main()"
        return self._run(code, arguments, {})

    def deploy_and_stop(
        self, signum: int, *arguments: object
    ) -> "subprocess.CompletedProcess[str]":
        """Run the command, and send it a signal once a replica of the new version is started."""
        command = [sys.executable, "-c", _COMMAND, "deploy", *map(str, arguments)]
        former = set(self.replicas())
        with subprocess.Popen(
            command, env=self.environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
        ) as process:
            until(lambda: set(self.replicas()) - former or process.poll() is not None)
            process.send_signal(signum)
            _, stderr = process.communicate(timeout=400)
        return subprocess.CompletedProcess(command, process.returncode, "", stderr)

    def deploy_damaged_and_killed(
        self, profile: Path, option: str, bundle: Path
    ) -> "subprocess.CompletedProcess[str]":
        """Damage the bundle after all checks, and kill the command while it rolls."""
        code = "import os; from pathlib import Path; from cluster.deploy.roll import Roll; "
        code += f"Roll._await_replicas = lambda *_: (Path({str(bundle)!r}, 'model.pth').unlink(), "
        code += f"os.kill(os.getpid(), 9)); {_COMMAND}"
        return self._run(code, (profile, option, bundle), {})

    def serve_status(self) -> str:
        """Return all that Ray Serve's controller knows of the application."""
        return self._applications("['lesionserve']")

    def applications(self) -> list[str]:
        """Return the names of the applications, those that are being deleted too."""
        return self._applications("").split()

    def _applications(self, item: str) -> str:
        code = "import ray, sys; from ray import serve; ray.init(sys.argv[1], log_to_driver=False);"
        code += f"found = serve.status().applications{item};"
        code += "print(*found) if isinstance(found, dict) else print(found)"
        return subprocess.run(
            [sys.executable, "-c", code, self.address],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=True,
        ).stdout

    def _run(
        self, code: str, arguments: Sequence[object], environment: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", code, "deploy", *map(str, arguments)]
        return subprocess.run(
            command,
            env=self.environment | dict(environment),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=400,
        )

    def post(self) -> httpx.Response:
        with httpx.Client(trust_env=False, timeout=60) as client:
            return post(client, self.url)

    def version(self) -> str | None:
        """The version of the model that answers; None where none does."""
        try:
            response = self.post()
        except httpx.TransportError:
            return None
        return response.json()["model"]["version"] if response.is_success else None

    def replicas(self, deployment: str = "") -> list[psutil.Process]:
        """Return the replicas of a deployment, or of all."""
        title = f"ray::ServeReplica:lesionserve:{deployment}"
        processes = psutil.Process(self.pid).children(recursive=True)
        return [process for process in processes if title in _title(process)]

    def serve_logs(self) -> str:
        folder = self.folder / "ray/session_latest/logs/serve"
        return "".join(path.read_text(errors="replace") for path in folder.glob("replica_*.log"))


@contextmanager
def ray_cluster(num_cpus: int = 8) -> Iterator[RayCluster]:
    """Start a head as docs/deploy/systemd.md does, with ports and a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp"))  # short, for the sockets in it
    port, dashboard, agent, client, metrics, autoscaler, head, ingress = choose_ports([None] * 8)
    environment = os.environ | {
        "LESIONSERVE_SERVICE_TOKENS": TOKEN,
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": "r" * 64,
        "RAY_USAGE_STATS_ENABLED": "0",
        # Where Ray notes the address of the cluster that runs on this machine.
        "RAY_TMPDIR": str(folder),
        "AUTOSCALER_METRIC_PORT": str(autoscaler),
        "DASHBOARD_METRIC_PORT": str(head),
    }
    environment.pop("RAY_ADDRESS", None)
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block"]
    command += [f"--port={port}", "--node-ip-address=127.0.0.1", f"--temp-dir={folder}/ray"]
    command += [f"--dashboard-port={dashboard}", f"--dashboard-agent-listen-port={agent}"]
    command += [f"--ray-client-server-port={client}", f"--metrics-export-port={metrics}"]
    command += [f"--num-cpus={num_cpus}", f"--object-store-memory={256 * 1024 * 1024}"]
    with (folder / "head.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    cluster = RayCluster(
        folder, f"127.0.0.1:{port}", f"http://127.0.0.1:{ingress}", environment, process.pid
    )
    try:
        until(lambda: _listens(dashboard) or process.poll() is not None)
        assert process.poll() is None, (folder / "head.log").read_text()
        yield cluster
    finally:
        # At once: asked to end, a head gives its replicas half a minute.
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(60)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        shutil.rmtree(folder, ignore_errors=True)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def post(client: httpx.Client, url: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/jpeg"}
    return client.post(f"{url}/predict?visualization=none", content=IMAGE, headers=headers)


class Clients:
    """Closed-loop clients in threads, each with a connection of its own, until `stop`."""

    def __init__(self, url: str, number: int = 3) -> None:
        self._url = url
        self._stopping = threading.Event()
        self.answers: list[tuple[float, int, str]] = []
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def stop(self) -> list[tuple[float, int, str]]:
        """Return when each answer came (time.monotonic()), its status, and the model's version
        or the refusal."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), "a client waits for ever"
        return sorted(self.answers)

    def _ask(self) -> None:
        with httpx.Client(trust_env=False, timeout=90) as client:
            while not self._stopping.is_set():
                try:
                    response = post(client, self._url)
                    answer = response.json()
                except httpx.TransportError as error:
                    self.answers.append((time.monotonic(), 0, repr(error)))
                else:
                    what = answer["model"]["version"] if response.is_success else response.text
                    self.answers.append((time.monotonic(), response.status_code, what))
                self._stopping.wait(0.02)  # leave some of the machine to the roll


def assert_all_answered(answers: list[tuple[float, int, str]], versions: list[str]) -> None:
    """Each request has its 200, from these versions and no other; the first and the last version
    are the list's."""
    assert answers
    assert {status for _, status, _ in answers} == {200}, [a for a in answers if a[1] != 200][:3]
    seen = [version for _, _, version in answers]
    assert (seen[0], seen[-1], set(seen)) == (versions[0], versions[-1], set(versions))


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
