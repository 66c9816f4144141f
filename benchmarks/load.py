"""Closed-loop clients in a process of their own: a JSON `Load` in, a JSON `Outcome` out.

Threads on blocking sockets, since the standard library's client costs the servers' cores least.
"""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from itertools import count
from pathlib import Path
from threading import Thread
from time import perf_counter
from urllib.parse import urlsplit

_BOUNDARY = "lesionserve-benchmark"


@dataclass(frozen=True, slots=True)
class Load:
    """`requests` in all, by `clients` that each wait for their answer; none starts after `seconds`.

    The images are posted in turn, as the multipart file `file`, to `url` on this machine.
    """

    url: str
    headers: dict[str, str]
    images: list[str]
    clients: int
    requests: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """`statuses` counts every request: by HTTP status, or by the error that took its place.

    `latencies_ms` are those of the 200s alone, from the first byte sent to the last received.
    """

    wall_s: float
    statuses: dict[str, int]
    latencies_ms: list[float]

    @property
    def per_second(self) -> float:
        return len(self.latencies_ms) / self.wall_s


def apply(load: Load) -> Outcome:
    """Runs the clients in a new process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.load"],
        input=json.dumps(asdict(load)),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Outcome(**json.loads(done.stdout))


class Clients:
    def __init__(self, load: Load) -> None:
        self._load = load
        self._url = urlsplit(load.url)
        self._bodies = [_multipart(Path(image).read_bytes()) for image in load.images]
        self._numbers = count()
        self._statuses: list[str] = []
        self._latencies_ms: list[float] = []

    def run(self) -> Outcome:
        threads = [Thread(target=self._client) for _ in range(self._load.clients)]
        started = perf_counter()
        self._last_start = started + self._load.seconds
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        wall_s = perf_counter() - started
        return Outcome(wall_s, dict(Counter(self._statuses)), self._latencies_ms)

    def _client(self) -> None:
        assert self._url.hostname is not None
        connection = HTTPConnection(self._url.hostname, self._url.port, timeout=120)
        for body in self._turns():
            started = perf_counter()
            status = self._post(connection, body)
            if status == "200":
                self._latencies_ms.append((perf_counter() - started) * 1000)
            self._statuses.append(status)
        connection.close()

    def _turns(self) -> Iterator[bytes]:
        """This client's share: `count` hands each number to one thread only."""
        for number in self._numbers:
            if number >= self._load.requests or perf_counter() > self._last_start:
                return
            yield self._bodies[number % len(self._bodies)]

    def _post(self, connection: HTTPConnection, body: bytes) -> str:
        headers = {
            **self._load.headers,
            "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}",
        }
        target = f"{self._url.path}?{self._url.query}" if self._url.query else self._url.path
        try:
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            response.read()
        except (OSError, HTTPException) as error:
            connection.close()
            return type(error).__name__
        return str(response.status)


def _multipart(image: bytes) -> bytes:
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="image.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    return head.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()


if __name__ == "__main__":
    print(json.dumps(asdict(Clients(Load(**json.load(sys.stdin))).run())))
