"""A Ray cluster with a dashboard, as `ray start --head` makes it, small bundles to deploy on it,
and clients who ask while they are rolled."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import psutil
import pytest
import yaml
from ray.cluster_utils import Cluster

from cluster.ports import choose_ports
from pipeline import packing
from pipeline.manifest import MANIFEST_FILE, read_manifest, sha256_of
from serve_app.args import ROOT
from tests.integration.gateway.client import jpeg
from tests.models import write_model

TOKEN = "t" * 32
IMAGE = jpeg(160, 120)
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

    def profile(self, bundle: Path, layout: str = "fused", **sizes: Any) -> Path:
        """Write a profile whose ingress is at `url`; `sizes` replace those of the model."""
        graph = json.loads(json.dumps(GRAPHS[layout]))
        graph["ingress" if layout == "fused" else "predictor"] |= sizes
        port = int(self.url.rpartition(":")[2])
        document = {
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": port},
            "applications": [
                {
                    "name": "lesionserve",
                    "import_path": "serve_app.app:build_app",
                    "args": {
                        "model": {
                            "bundle": str(bundle),
                            "device": "cpu",
                            "torch_threads": 1,
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
        command = [sys.executable, "-m", "cluster.cli", "deploy", *map(str, arguments)]
        command += ["--address", self.address]
        return subprocess.run(
            command,
            env=self.environment | environment,
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

    def replicas(self, deployment: str) -> list[psutil.Process]:
        title = f"ray::ServeReplica:lesionserve:{deployment}"
        return [one for one in psutil.Process().children(recursive=True) if title in _title(one)]

    def serve_logs(self) -> str:
        folder = self.folder / "ray/session_latest/logs/serve"
        return "".join(path.read_text(errors="replace") for path in folder.glob("replica_*.log"))


@contextmanager
def ray_cluster(num_cpus: int = 8) -> Iterator[RayCluster]:
    folder = Path(tempfile.mkdtemp(prefix="ls-", dir="/tmp"))  # short, for the sockets in it
    (folder / "ray").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LESIONSERVE_SERVICE_TOKENS", TOKEN)
        patch.setenv("RAY_AUTH_MODE", "token")
        patch.setenv("RAY_AUTH_TOKEN", "r" * 64)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        # Where Ray notes the address of the cluster that runs on this machine.
        patch.setenv("RAY_TMPDIR", str(folder))
        patch.delenv("RAY_ADDRESS", raising=False)
        dashboard, agent, metrics, ingress = choose_ports([None] * 4)
        head = {
            "num_cpus": num_cpus,
            "include_dashboard": True,
            "dashboard_host": "127.0.0.1",
            "dashboard_port": dashboard,
            "dashboard_agent_listen_port": agent,
            "metrics_export_port": metrics,
            "object_store_memory": 256 * 1024 * 1024,
            "temp_dir": str(folder / "ray"),
        }
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            url = f"http://127.0.0.1:{ingress}"
            yield RayCluster(folder, cluster.address, url, dict(os.environ))
        finally:
            cluster.shutdown()
            shutil.rmtree(folder, ignore_errors=True)


def post(client: httpx.Client, url: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/jpeg"}
    return client.post(f"{url}/predict?visualization=none", content=IMAGE, headers=headers)


def pack_bundle(
    folder: Path, version: str, class_names: tuple[str, ...] = ("LSIL", "HSIL")
) -> Path:
    """A bundle of a tiny network with random weights, and one golden case."""
    source = folder / f"source-{version}"
    source.mkdir(parents=True)
    config, weights = write_model(source)
    golden = source / "golden.jpg"
    golden.write_bytes(IMAGE)
    packing.pack(
        packing.Source(
            weights=weights,
            config=config,
            class_names=class_names or ("LSIL", "HSIL"),
            name="small",
            version=version,
            golden=(golden,),
        ),
        folder / version,
    )
    return folder / version


def with_changed_golden_case(bundle: Path) -> Path:
    """Make the bundle, intact as it is, expect no lesion where it finds some."""
    path = bundle / "golden/expected.json"
    cases = json.loads(path.read_text())
    assert any(cases.values()), "nothing is expected that could be missed"
    path.write_text(json.dumps({name: [] for name in cases}))
    manifest = read_manifest(bundle)
    files = manifest.files | {"golden/expected.json": sha256_of(path)}
    (bundle / MANIFEST_FILE).unlink()
    manifest.model_copy(update={"files": files}).sealed().write(bundle)
    return bundle


def flip_last_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


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


def until(happened: Callable[[], bool], within_s: float = 120) -> None:
    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""
