"""What a worker's pod does before it ends, on a real cluster of four nodes."""

import os
import shlex
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import httpx
import pytest
import ray
import yaml
from ray import serve
from ray.cluster_utils import Cluster

from cluster.launcher.certificates import Authority
from tests.integration.kubernetes.manifests import FOLDER, Manifest
from tests.waiting import until

pytestmark = pytest.mark.cluster

CPU_GROUP = {"lesionserve/group": "cpu"}
_SECONDS = 1.0  # of a request: some are always in flight


@serve.deployment(num_replicas=3, ray_actor_options={"num_cpus": 1, "label_selector": CPU_GROUP})
class Slow:
    async def __call__(self, _: object) -> str:
        import asyncio

        await asyncio.sleep(_SECONDS)
        node: str = ray.get_runtime_context().get_node_id()
        return node


@pytest.fixture
def client(
    monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int, tmp_path: Path
) -> Iterator[httpx.Client]:
    """Yield a client of Serve, with TLS, on a head, two workers, and one with a GPU."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    # The mode of this process was fixed when it first used Ray; nodes of either mode let it in.
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t" * 64)
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=3, labels=CPU_GROUP)
        cluster.add_node(num_cpus=3, num_gpus=1, labels={"lesionserve/group": "gpu"})
        monkeypatch.setenv("RAY_ADDRESS", cluster.address)
        ray.init(address=cluster.address, log_to_driver=False)
        authority = Authority.kept_in(tmp_path)
        pem = str(authority.issue(tmp_path / "serve.pem", ["127.0.0.1"]))
        options = {"port": unused_tcp_port, "ssl_keyfile": pem, "ssl_certfile": pem}
        serve.start(http_options=options)
        serve.run(Slow.bind())
        address = f"https://127.0.0.1:{unused_tcp_port}"
        trust = ssl.create_default_context(cafile=str(authority.path))
        with httpx.Client(base_url=address, verify=trust, timeout=60, trust_env=False) as client:
            yield client
        serve.shutdown()
    finally:
        ray.shutdown()
        cluster.shutdown()


def worker_container() -> Manifest:
    service = next(yaml.safe_load_all((FOLDER / "base/inference.yaml").read_text()))
    (group,) = service["spec"]["rayClusterConfig"]["workerGroupSpecs"]
    (container,) = group["template"]["spec"]["containers"]
    assert isinstance(container, dict)
    return container


def drain_command() -> list[str]:
    """Return the arguments of `ray` in the workers' preStop."""
    script = worker_container()["lifecycle"]["preStop"]["exec"]["command"][-1]
    _, _, program, *arguments = shlex.split(script.partition(";")[0])
    assert program == "ray"
    return arguments


def worker_probe() -> str:
    """Return the path of the workers' readiness probe."""
    path: str = worker_container()["readinessProbe"]["httpGet"]["path"]
    return path


def test_drained_worker_hands_over_and_spares_gpu_worker(client: httpx.Client) -> None:
    stop = Event()

    def ask() -> list[tuple[int, str]]:
        answers = []
        while not stop.is_set():
            response = client.get("/")
            answers.append((response.status_code, response.text))
        return answers

    assert client.get(worker_probe()).status_code == 200
    hosts = {client.get("/").text for _ in range(8)}
    gpus = {node["NodeID"] for node in ray.nodes() if node["Resources"].get("GPU")}
    assert len(gpus) == 1
    assert not hosts & gpus
    victim = sorted(hosts)[0]
    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(ask) for _ in range(4)]
        try:
            # In a pod the node is that of the pod; here all have one address.
            command = [Path(sys.executable).with_name("ray"), *drain_command()]
            command += ["--node-id", victim]
            done = subprocess.run(command, env=os.environ, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
            until(lambda: victim not in {client.get("/").text for _ in range(8)}, 90)
        finally:
            stop.set()
        answers = [answer for asked in clients for answer in asked.result()]
    assert {status for status, _ in answers} == {200}
    assert victim in {node for _, node in answers}
