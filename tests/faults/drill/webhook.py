"""The receiver of the drill's Alertmanager."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True, slots=True)
class Notice:
    """An alert of a notification.

    at: when it came, in seconds of the monotonic clock. started: when it began to fire, by which a
    repeated notification is known.
    """

    at: float
    name: str
    severity: str
    is_firing: bool
    labels: tuple[tuple[str, str], ...]
    started: str

    @property
    def is_page(self) -> bool:
        return self.is_firing and self.severity == "page"

    def __str__(self) -> str:
        labels = dict(self.labels)
        others = {k: v for k, v in labels.items() if k not in ("alertname", "severity", "site")}
        return f"{self.name} ({self.severity}) {others}"


class Webhook:
    """Keep every alert that Alertmanager sends, in order, without repetitions."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/"
        self._notices: list[Notice] = []
        self._lock = threading.Lock()

    def since(self, at: float) -> list[Notice]:
        with self._lock:
            return [notice for notice in self._notices if notice.at >= at]

    def first(self, name: str, severity: str, is_firing: bool, since: float) -> Notice | None:
        """Return the first such notice since then; None where there is none yet."""
        wanted = (name, severity, is_firing)
        for notice in self.since(since):
            if (notice.name, notice.severity, notice.is_firing) == wanted:
                return notice
        return None

    def keep(self, notification: dict[str, Any]) -> None:
        at = time.monotonic()
        notices = [
            Notice(
                at,
                alert["labels"]["alertname"],
                alert["labels"]["severity"],
                alert["status"] == "firing",
                tuple(sorted(alert["labels"].items())),
                alert["startsAt"],
            )
            for alert in notification["alerts"]
        ]
        with self._lock:
            known = {(n.labels, n.started, n.is_firing) for n in self._notices}
            new = [n for n in notices if (n.labels, n.started, n.is_firing) not in known]
            self._notices += new


@contextmanager
def receiving() -> Iterator[Webhook]:
    """Receive notifications on a free port of the loopback address."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            webhook.keep(json.loads(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        webhook = Webhook(server.server_address[1])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield webhook
        finally:
            server.shutdown()
