"""Debian's nginx with the shipped configurations."""

import re
import shutil
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from cluster.launcher.certificates import Authority
from cluster.launcher.ports import choose_ports
from serve_app.paths import ROOT
from tests.integration.gateway.client import Gateway

SITES = ROOT / "cluster/nginx"
# The nodes of nodes.conf.
NODES = """    server 10.0.0.11:8443 max_fails=1 fail_timeout=5s;
    server 10.0.0.12:8443 max_fails=1 fail_timeout=5s;
"""
MAIN = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


@dataclass
class Site(Gateway):
    """A running nginx, spoken to in HTTPS; in raw bytes where that matters."""

    plain_port: int
    authority: Authority
    certificate: Path | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    def connect(self) -> socket.socket:
        context = trusting(self.authority, self.certificate)
        return context.wrap_socket(super().connect(), server_hostname="localhost")


def trusting(authority: Authority, certificate: Path | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(authority.path))
    if certificate is not None:
        context.load_cert_chain(certificate)
    return context


@contextmanager
def before_gateway(folder: Path, port: int, **changes: str) -> Iterator[Site]:
    """nginx before a gateway on this port; `changes` are those of some more directives."""
    authority = Authority.kept_in(folder / "tls")
    pem = authority.issue(folder / "tls/gateway.pem", ["localhost"])
    outer, plain = choose_ports([None] * 2)
    names = {
        "443 ssl": f"127.0.0.1:{outer} ssl",
        "listen 80": f"listen 127.0.0.1:{plain}",
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "lesionserve.example": "localhost",
        "/var/log/nginx/lesionserve.log": str(folder / "outer/access.log"),
        "/etc/lesionserve/tls/gateway.pem": str(pem),
    }
    with _nginx(folder / "outer", "gateway.conf", names, changes):
        yield Site(outer, plain, authority)


@contextmanager
def before_ingress(folder: Path, port: int, name: str = "inner") -> Iterator[Site]:
    """nginx before an ingress on this port, which knows the site's certificate.

    name: of its folder; several in one folder have one authority.
    """
    authority = Authority.kept_in(folder / "tls")
    pem = authority.issue(folder / "tls/ingress.pem", ["localhost"])
    (inner,) = choose_ports([None])
    names = {
        "8443 ssl": f"127.0.0.1:{inner} ssl",
        "127.0.0.1:8000": f"127.0.0.1:{port}",
        "lesionserve-ingress.example": "localhost",
        "/etc/lesionserve/tls/ingress.pem": str(pem),
        "/etc/lesionserve/tls/ca.pem": str(authority.path),
    }
    with _nginx(folder / name, "ingress.conf", names, {}):
        yield Site(inner, inner, authority, authority.issue(folder / "tls/client.pem", ["gateway"]))


@contextmanager
def before_nodes(folder: Path, authority: Authority, nodes: Sequence[Site]) -> Iterator[str]:
    """nginx before these sites of `before_ingress`, as between a gateway and several nodes."""
    pem = authority.issue(folder / "tls/gateway-client.pem", ["gateway"])
    (port,) = choose_ports([None])
    names = {
        "127.0.0.1:8100": f"127.0.0.1:{port}",
        "lesionserve-ingress.example": "localhost",
        "/etc/lesionserve/tls/gateway-client.pem": str(pem),
        "/etc/lesionserve/tls/ca.pem": str(authority.path),
        NODES: "".join(node_line(f"127.0.0.1:{node.port}") for node in nodes),
    }
    with _nginx(folder / "nodes", "nodes.conf", names, {}):
        yield f"http://127.0.0.1:{port}"


def node_line(address: str) -> str:
    """Return the directive of a node, as in nodes.conf."""
    return NODES.splitlines()[0].replace("10.0.0.11:8443", address) + "\n"


@contextmanager
def _nginx(
    folder: Path, site: str, names: Mapping[str, str], directives: Mapping[str, str]
) -> Iterator[None]:
    """The shipped site with its names, ports and paths changed, as its reader changes them."""
    program = shutil.which("nginx", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("nginx is not installed (Debian: nginx-light)")
    text = (SITES / site).read_text()
    for old, new in names.items():
        assert old in text, old
        text = text.replace(old, new)
    for name, value in directives.items():
        text, count = re.subn(rf"{name} .*;", f"{name} {value};", text)
        assert count == 1, name
    folder.mkdir()
    (folder / "site.conf").write_text(text)
    (folder / "nginx.conf").write_text(MAIN.format(folder=folder))
    command = [program, "-c", str(folder / "nginx.conf"), "-p", str(folder)]
    subprocess.run([*command, "-t"], check=True, capture_output=True)
    server = subprocess.Popen(command)
    try:
        for port in re.findall(r"listen 127\.0\.0\.1:(\d+)", text):
            _wait_for(int(port))
        yield
    finally:
        server.terminate()
        assert server.wait(30) == 0
        log = (folder / "error.log").read_text()
        assert "temporary file" not in log, "an upload touched the disk"


def _wait_for(port: int) -> None:
    for _ in range(1000):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise AssertionError(f"nothing listens on port {port}")
