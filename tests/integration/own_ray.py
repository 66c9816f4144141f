"""A Ray instance of the tests' own, with Serve's proxy on a free port."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import ray
from ray import serve

from cluster.launcher.ports import choose_ports

TOKEN = "t" * 32


@dataclass(frozen=True)
class OwnRay:
    """The address of its proxy, and that of its metrics."""

    url: str
    metrics_url: str


@contextmanager
def own_ray() -> Iterator[OwnRay]:
    with (
        # A short path, for the sockets in it.
        tempfile.TemporaryDirectory(prefix="ls-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("LESIONSERVE_SERVICE_TOKENS", TOKEN)
        # Given a token, Ray makes none in the home directory.
        patch.setenv("RAY_AUTH_TOKEN", "r" * 64)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        port, metrics_port = choose_ports([None, None])
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=256 * 1024 * 1024,
            log_to_driver=False,
            _temp_dir=folder,
            _metrics_export_port=metrics_port,
        )
        serve.start(proxy_location="HeadOnly", http_options={"host": "127.0.0.1", "port": port})
        yield OwnRay(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{metrics_port}/metrics")
        serve.shutdown()
        ray.shutdown()
