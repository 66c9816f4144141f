"""The gateway before LitServe and BentoML in a benchmark, with a small server in their place."""

import sqlite3
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.peers.contenders import Target, audited_gateway

IMAGE = b"the bytes of an image \x00\xff"
ANSWER = b'{"detections": []}'


class Peer(BaseHTTPRequestHandler):
    """Answer every image; refuse one that is called broken."""

    protocol_version = "HTTP/1.1"
    bodies: list[bytes]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.bodies.append(body)
        self.send_response(400 if b"broken" in body else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@dataclass
class Gateway:
    target: Target
    database: Path
    received: list[bytes]
    rows_before: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """Return the audit rows that were written since this was last called."""
        with sqlite3.connect(self.database) as connection:
            connection.row_factory = sqlite3.Row
            rows = connection.execute("SELECT * FROM gateway_auditrow ORDER BY id").fetchall()
        new, self.rows_before = rows[self.rows_before :], len(rows)
        return [dict(row) for row in new]

    def post(self, headers: dict[str, str], **options: Any) -> httpx.Response:
        return httpx.post(self.target.url, headers=headers, timeout=60, **options)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    database = tmp_path_factory.mktemp("gateway") / "audit.sqlite3"
    received: list[bytes] = []
    handler = type("StubPeer", (Peer,), {"bodies": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as peer:
        threading.Thread(target=peer.serve_forever, daemon=True).start()
        with audited_gateway(f"http://127.0.0.1:{peer.server_port}", database) as target:
            yield Gateway(target, database, received)
        peer.shutdown()


@pytest.fixture(autouse=True)
def _seen(gateway: Gateway) -> None:
    gateway.rows()
    gateway.received.clear()


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "guessed"}], ids=["missing", "unknown"])
def test_refuses_without_a_known_key(gateway: Gateway, headers: dict[str, str]) -> None:
    response = gateway.post(headers, files={"file": IMAGE})
    assert response.status_code == 401
    assert gateway.received == []
    (row,) = gateway.rows()
    assert (row["status"], row["client"], row["image_sha256"]) == (401, "", "")
    assert row["request_id"] == response.headers["X-Request-ID"]


def test_passes_the_image_and_the_answer_on(gateway: Gateway) -> None:
    response = gateway.post(gateway.target.headers, files={"file": IMAGE})
    assert response.status_code == 200
    assert response.headers["Content-Type"] == "application/json"
    assert response.content == ANSWER
    (body,) = gateway.received
    assert body.count(IMAGE) == 1
    (row,) = gateway.rows()
    assert (row["status"], row["client"]) == (200, "benchmark")
    assert row["image_sha256"] == sha256(IMAGE).hexdigest()
    assert row["request_id"] == response.headers["X-Request-ID"]
    assert row["duration_ms"] > 0
    assert row["at"]


def test_passes_a_refusal_on(gateway: Gateway) -> None:
    response = gateway.post(gateway.target.headers, files={"file": b"broken"})
    assert response.status_code == 400
    assert [row["status"] for row in gateway.rows()] == [400]


def test_refuses_a_request_without_an_image(gateway: Gateway) -> None:
    response = gateway.post(gateway.target.headers, data={"other": "field"})
    assert response.status_code == 400
    assert gateway.received == []
    assert [row["status"] for row in gateway.rows()] == [400]


def test_each_of_many_requests_at_once_has_its_row(gateway: Gateway) -> None:
    statuses: list[int] = []

    def post() -> None:
        for _ in range(4):
            response = gateway.post(gateway.target.headers, files={"file": IMAGE})
            statuses.append(response.status_code)

    threads = [threading.Thread(target=post) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 32
    rows = gateway.rows()
    assert len(rows) == len({row["request_id"] for row in rows}) == 32


def test_database_keeps_a_write_ahead_log_and_no_key(gateway: Gateway) -> None:
    with sqlite3.connect(gateway.database) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        ((stored, _),) = connection.execute("SELECT sha256, client FROM gateway_apikey").fetchall()
    assert stored == sha256(gateway.target.headers["X-API-Key"].encode()).hexdigest()


def test_answers_502_where_the_peer_is_gone(tmp_path: Path) -> None:
    with audited_gateway("http://127.0.0.1:1", tmp_path / "audit.sqlite3") as target:
        response = httpx.post(target.url, headers=target.headers, files={"file": IMAGE}, timeout=60)
    assert response.status_code == 502
