"""The health check of the images."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from cluster.images import healthy


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def check(url: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-IS", healthy.__file__, url],
        env={"http_proxy": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_200_is_healthy_whatever_proxy_is_set(url):
    assert check(f"{url}/200").returncode == 0


@pytest.mark.parametrize("status", [204, 404, 500, 503])
def test_other_status_is_not_healthy(url, status):
    done = check(f"{url}/{status}")
    assert done.returncode == 1
    assert done.stderr == f"{url}/{status}: {status}\n"


def test_closed_port_is_not_healthy(url):
    done = check("http://127.0.0.1:1/")
    assert done.returncode == 1
    assert "refused" in done.stderr
    assert "Traceback" not in done.stderr
