"""The `lesionserve` command as a process, and a gateway for it to ask."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.integration.gateway.ingress import prediction

COMMAND = [sys.executable, "-m", "cluster.cli"]
KEY = "ls_0123456789ab_secret"
LABEL = "H\u202eSIL\u200b"


class FakeGateway(BaseHTTPRequestHandler):
    """Answers every image with one lesion, whose label is hostile."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        answer = prediction("r-1")
        answer["detections"][0]["label"] = LABEL
        answer["metrics"]["class_distribution"] = {LABEL: 1}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving_fake_gateway() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), FakeGateway) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def run(
    *arguments: object, environment: dict[str, str] | None = None, **options: object
) -> subprocess.CompletedProcess[str]:
    """Run the command with few variables, and with the streams that `options` name."""
    variables = {"PATH": os.environ["PATH"], "LESIONSERVE_API_KEY": KEY, **(environment or {})}
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    return subprocess.run(
        [*COMMAND, *map(os.fspath, map(str, arguments))],
        env=variables,
        encoding="utf-8",
        errors="surrogateescape",
        timeout=120,
        **streams,
    )


def assert_one_line(done: subprocess.CompletedProcess[str], code: int, text: str) -> None:
    lines = done.stderr.splitlines()
    assert done.returncode == code, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("lesionserve: ")
    assert text in lines[0]
    assert len(lines[0]) < 1000
