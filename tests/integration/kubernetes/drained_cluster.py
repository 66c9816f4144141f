"""Drain one of four Ray nodes under load, and print what clients got: `python -m` this module.

In a process of its own, because Ray reads its token when it is imported.
Arguments: a folder, a free port, the path of the probe, and the drain command as JSON.
"""

import asyncio
import json
import os
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import httpx
import ray
from ray import serve
from ray.cluster_utils import Cluster

from cluster.launcher.certificates import Authority

CPU_GROUP = {"lesionserve/group": "cpu"}
_SECONDS = 1.0  # of a request: some are always in flight
_MOVED_WITHIN_S = 120.0


@serve.deployment(num_replicas=3, ray_actor_options={"num_cpus": 1, "label_selector": CPU_GROUP})
class Slow:
    async def __call__(self, _: object) -> str:
        await asyncio.sleep(_SECONDS)
        node: str = ray.get_runtime_context().get_node_id()
        return node


def main(folder: Path, port: int, probe: str, drain: list[str]) -> dict[str, Any]:
    """Return the statuses, and the nodes that answered, before and after the drain."""
    # The head has no processors, as in the RayService.
    cluster = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False}
    )
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=3, labels=CPU_GROUP)
        cluster.add_node(num_cpus=3, num_gpus=1, labels={"lesionserve/group": "gpu"})
        os.environ["RAY_ADDRESS"] = cluster.address
        ray.init(address=cluster.address, log_to_driver=False)
        authority = Authority.kept_in(folder)
        pem = str(authority.issue(folder / "serve.pem", ["127.0.0.1"]))
        serve.start(http_options={"port": port, "ssl_keyfile": pem, "ssl_certfile": pem})
        serve.run(Slow.bind())
        trust = ssl.create_default_context(cafile=str(authority.path))
        address = f"https://127.0.0.1:{port}"
        with httpx.Client(base_url=address, verify=trust, timeout=60, trust_env=False) as client:
            return observe(client, probe, drain)
    finally:
        ray.shutdown()
        cluster.shutdown()


def observe(client: httpx.Client, probe: str, drain: list[str]) -> dict[str, Any]:
    stop = Event()
    before = nodes_that_answer(client)
    probed = client.get(probe).status_code  # a proxy that drains says no
    victim = sorted(before)[0]
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(ask, client, stop) for _ in range(4)]
        try:
            # In a pod the node is that of the pod; here all have one address.
            done = subprocess.run(
                [Path(sys.executable).with_name("ray"), *drain, "--node-id", victim],
                capture_output=True,
                text=True,
            )
            ends_at = time.monotonic() + _MOVED_WITHIN_S
            after = nodes_that_answer(client)
            while victim in after and time.monotonic() < ends_at:
                after = nodes_that_answer(client)
        finally:
            stop.set()
        statuses = [status for one in asked for status in one.result()]
    gpus = [node["NodeID"] for node in ray.nodes() if node["Resources"].get("GPU")]
    return {
        "probe": probed,
        "drain": [done.returncode, done.stderr[-500:]],
        "statuses": {str(status): statuses.count(status) for status in set(statuses)},
        "gpus": gpus,
        "victim": victim,
        "before": sorted(before),
        "after": sorted(after),
    }


def ask(client: httpx.Client, stop: Event) -> list[int | str]:
    """Ask until `stop` is set. Return each status, or the error in its place."""
    statuses: list[int | str] = []
    while not stop.is_set():
        try:
            statuses.append(client.get("/").status_code)
        except httpx.HTTPError as error:
            statuses.append(type(error).__name__)
    return statuses


def nodes_that_answer(client: httpx.Client) -> set[str]:
    return {client.get("/").text for _ in range(8)}


if __name__ == "__main__":
    result = main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4]))
    print(json.dumps(result))
