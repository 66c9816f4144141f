"""Load a service with clients that each send the next request once they are answered.

The clients share one event loop and speak HTTP/1.1 by hand: a client library would take more of
the cores than the service under test.
"""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import takewhile
from urllib.parse import urlsplit

_ANSWER_WITHIN_S = 120.0
_BOUNDARY = "lesionserve-benchmark"
_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to one request, or the error in its place.

    at: time.monotonic() when it arrived. status: the HTTP status; 0 where the connection broke or
    nothing arrived in time, and `error` is then the name of that error.
    """

    at: float
    took_s: float
    status: int
    retry_after: bool = False
    error: str = ""


@dataclass(slots=True)
class Outcome:
    """The answers to all requests of a load. cpu_s: seconds of a core that the clients used."""

    answers: list[Answer] = field(default_factory=list)
    seconds: float = 0.0
    cpu_s: float = 0.0

    @property
    def good(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 200]

    @property
    def per_second(self) -> float:
        return len(self.good) / self.seconds

    @property
    def latencies_ms(self) -> list[float]:
        """Return the latencies of the answers with status 200, in milliseconds.

        Each is from the first byte sent to the last received.
        """
        return [1000 * answer.took_s for answer in self.good]

    @property
    def statuses(self) -> dict[str, int]:
        """Count every request by its HTTP status, or by the error that took its place."""
        return dict(Counter(answer.error or str(answer.status) for answer in self.answers))


def image_request(url: str, headers: Mapping[str, str], image: bytes) -> bytes:
    """Return a POST whose body is the JPEG image."""
    return _request(url, {**headers, "Content-Type": "image/jpeg"}, image)


def form_request(url: str, headers: Mapping[str, str], image: bytes) -> bytes:
    """Return a POST of the JPEG image as the multipart file `file`."""
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="image.jpg"\r\n'
        "Content-Type: image/jpeg\r\n\r\n"
    )
    body = head.encode() + image + f"\r\n--{_BOUNDARY}--\r\n".encode()
    content_type = f"multipart/form-data; boundary={_BOUNDARY}"
    return _request(url, {**headers, "Content-Type": content_type}, body)


def apply(url: str, requests: Iterator[bytes], clients: int, seconds: float = math.inf) -> Outcome:
    """Send the requests by so many clients, none later than after `seconds`.

    url: of a service in plain HTTP; only its host and port are used.
    """
    return asyncio.run(_apply(url, requests, clients, seconds))


async def send(
    url: str,
    requests: Iterator[bytes],
    record: Callable[[Answer], None],
    patience_s: float = 0.0,
) -> None:
    """Send the requests one after the other, as one client that keeps its connection.

    Clients may share `requests`. After any other status than 200 the client waits `patience_s`.
    """
    connection: _Connection | None = None
    for request in requests:
        began = time.monotonic()
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                connection = connection or await _connect(url)
                status, headers = await _exchange(connection, request)
        except (OSError, EOFError) as error:  # of these are also TimeoutError and a half answer
            status, headers = 0, {"connection": "close"}
            failure = type(error).__name__
        else:
            failure = ""
        ended = time.monotonic()
        record(Answer(ended, ended - began, status, "retry-after" in headers, failure))
        if connection is not None and headers.get("connection") == "close":
            connection[1].close()
            connection = None
        if status != 200:
            await asyncio.sleep(patience_s)
    if connection is not None:
        connection[1].close()


async def _apply(url: str, requests: Iterator[bytes], clients: int, seconds: float) -> Outcome:
    outcome = Outcome()
    began, cpu = time.monotonic(), time.process_time()
    in_time = takewhile(lambda _: time.monotonic() < began + seconds, requests)
    await asyncio.gather(*(send(url, in_time, outcome.answers.append) for _ in range(clients)))
    outcome.seconds = time.monotonic() - began
    outcome.cpu_s = time.process_time() - cpu
    return outcome


def _request(url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"POST {target} HTTP/1.1", f"Host: {parts.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


async def _connect(url: str) -> _Connection:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port, limit=2**20)


async def _exchange(connection: _Connection, request: bytes) -> tuple[int, dict[str, str]]:
    """Return the answer's status and its headers, whose names and values are in lower case."""
    reader, writer = connection
    writer.write(request)
    status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = (line.partition(":") for line in lines if line)
    headers = {name.strip().lower(): value.strip().lower() for name, _, value in fields}
    if headers.get("transfer-encoding") == "chunked":
        await _read_chunks(reader)
    elif "content-length" in headers:
        await reader.readexactly(int(headers["content-length"]))
    else:  # the end of the connection ends the answer
        await reader.read()
        headers["connection"] = "close"
    return int(status_line.split()[1]), headers


async def _read_chunks(reader: asyncio.StreamReader) -> None:
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()
