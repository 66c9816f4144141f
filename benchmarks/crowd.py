"""Clients in one event loop that ask again as soon as they are answered. They speak HTTP/1.1 by
hand: a client library would take more of the cores than the service under test."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import urlsplit

_Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass(frozen=True, slots=True)
class Answer:
    at: float  # time.monotonic() when it had come
    took_s: float
    status: int  # 0 where the connection broke
    retry_after: bool


@dataclass(slots=True)
class Crowd:
    """What a number of clients got. `cpu_s` is what they themselves took of a core."""

    answers: list[Answer] = field(default_factory=list)
    began: float = 0.0
    ended: float = 0.0
    cpu_s: float = 0.0

    @property
    def seconds(self) -> float:
        return self.ended - self.began

    def statuses(self) -> dict[int, int]:
        return dict(Counter(answer.status for answer in self.answers))

    def per_second(self) -> float:
        return len(self.good()) / self.seconds

    def good(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 200]


@dataclass(frozen=True, slots=True)
class Target:
    url: str
    token: str
    image: bytes
    query: str = ""

    def request(self) -> bytes:
        url = urlsplit(self.url)
        head = (
            f"POST {url.path}/predict{self.query} HTTP/1.1\r\nHost: {url.netloc}\r\n"
            f"Authorization: Bearer {self.token}\r\nContent-Type: image/jpeg\r\n"
            f"Content-Length: {len(self.image)}\r\n\r\n"
        )
        return head.encode() + self.image


def ask(target: Target, clients: int, seconds: float, patience_s: float = 0.0) -> Crowd:
    """`clients` at once for `seconds`. One that is refused waits `patience_s` before it asks."""
    return asyncio.run(_ask(target, clients, seconds, patience_s))


async def _ask(target: Target, clients: int, seconds: float, patience_s: float) -> Crowd:
    crowd = Crowd(began=time.monotonic())
    cpu = time.process_time()
    until = crowd.began + seconds
    await asyncio.gather(
        *(client(target, crowd.answers.append, lambda: until, patience_s) for _ in range(clients))
    )
    crowd.ended = time.monotonic()
    crowd.cpu_s = time.process_time() - cpu
    return crowd


async def client(
    target: Target, heard: Callable[[Answer], None], until: Callable[[], float], patience_s: float
) -> None:
    """One client. `until` may move while it asks."""
    request = target.request()
    connection: _Connection | None = None
    while time.monotonic() < until():
        began = time.monotonic()
        try:
            connection = connection or await _connect(target.url)
            status, retry_after, keep = await _exchange(connection, request)
        except (ConnectionError, asyncio.IncompleteReadError):
            status, retry_after, keep = 0, False, False
        heard(Answer(time.monotonic(), time.monotonic() - began, status, retry_after))
        if not keep and connection is not None:
            connection[1].close()
            connection = None
        if status != 200:
            await asyncio.sleep(patience_s)
    if connection is not None:
        connection[1].close()


async def _connect(url: str) -> _Connection:
    parts = urlsplit(url)
    return await asyncio.open_connection(parts.hostname, parts.port, limit=2**20)


async def _exchange(connection: _Connection, request: bytes) -> tuple[int, bool, bool]:
    """The answer's status, whether it has a Retry-After, and whether the connection goes on."""
    reader, writer = connection
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"transfer-encoding: chunked" in head:
        await _read_chunks(reader)
    else:
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        await reader.readexactly(length)
    return int(head.split(None, 2)[1]), b"retry-after:" in head, b"connection: close" not in head


async def _read_chunks(reader: asyncio.StreamReader) -> None:
    while size := int(await reader.readline(), 16):
        await reader.readexactly(size + 2)
    await reader.readline()
