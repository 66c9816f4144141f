"""The servers around the nodes: Redis, nginx before them all, and nginx on each."""

import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import redis

from cluster.launcher.certificates import Authority
from cluster.launcher.process_group import die_with_parent
from tests.integration.gateway.nginx import MAIN, NODES, SITES, node_line
from tests.nodes.namespaces import Namespace
from tests.nodes.ray_nodes import REDIS_PASSWORD
from tests.waiting import until

PROGRAMS = ("nginx", "redis-server")
_PATH = "/usr/sbin:/usr/bin"
_REDIS_PORT = 6379


def missing_programs() -> list[str]:
    return [name for name in PROGRAMS if shutil.which(name, path=_PATH) is None]


@contextmanager
def running_redis(namespace: Namespace, folder: Path) -> Iterator[str]:
    """Start a Redis that keeps what it is given on the disk, and return its address."""
    folder.mkdir()
    options = ["--port", str(_REDIS_PORT), "--bind", namespace.address, "--dir", str(folder)]
    options += ["--requirepass", REDIS_PASSWORD, "--save", "", "--appendonly", "yes"]
    command = namespace.command("redis-server", *options)
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, preexec_fn=die_with_parent)
    try:
        until(lambda: _answers(namespace.address), 60)
        yield f"{namespace.address}:{_REDIS_PORT}"
    finally:
        server.terminate()
        server.wait(30)


def _answers(host: str) -> bool:
    try:
        with redis.Redis(host, _REDIS_PORT, password=REDIS_PASSWORD, retry=None) as client:
            return bool(client.ping())
    except redis.ConnectionError:
        return False


@dataclass(frozen=True)
class Nginx:
    """The shipped sites of cluster/nginx, with certificates of one authority."""

    folder: Path
    authority: Authority

    def start_on_node(self, namespace: Namespace) -> None:
        """Start ingress.conf on a node, as long as the node runs."""
        pem = self.authority.issue(self.folder / "ingress.pem", ["lesionserve-ingress.example"])
        paths = {
            "/etc/lesionserve/tls/ingress.pem": str(pem),
            "/etc/lesionserve/tls/ca.pem": str(self.authority.path),
        }
        self._start(namespace, "ingress.conf", paths)

    @contextmanager
    def before(self, front: Namespace, nodes: Sequence[Namespace]) -> Iterator[None]:
        """Run nodes.conf in front of these nodes."""
        pem = self.authority.issue(self.folder / "gateway-client.pem", ["gateway"])
        names = {
            "/etc/lesionserve/tls/gateway-client.pem": str(pem),
            "/etc/lesionserve/tls/ca.pem": str(self.authority.path),
            NODES: "".join(node_line(f"{node.address}:8443") for node in nodes),
        }
        server = self._start(front, "nodes.conf", names)
        try:
            yield
        finally:
            server.terminate()
            server.wait(30)

    def _start(
        self, namespace: Namespace, site: str, names: dict[str, str]
    ) -> "subprocess.Popen[bytes]":
        text = (SITES / site).read_text()
        for old, new in names.items():
            assert old in text, old
            text = text.replace(old, new)
        folder = self.folder / namespace.name
        folder.mkdir(exist_ok=True)
        (folder / "site.conf").write_text(text)
        (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
        program = shutil.which("nginx", path=_PATH)
        assert program is not None, "conftest.py skips without it"
        command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
        return subprocess.Popen(namespace.command(*command), preexec_fn=die_with_parent)
