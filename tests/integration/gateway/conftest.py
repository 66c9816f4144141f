import http.client
import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from django.test import override_settings
from PIL import Image

from gateway.keys.models import ApiKey
from gateway.usage.models import Record
from pipeline.schemas import (
    Detection,
    ImageInfo,
    Metrics,
    ModelInfo,
    Prediction,
    Problem,
    RleMask,
)

BOUNDARY = "a-boundary"


class Server(uvicorn.Server):
    """uvicorn in a thread, on a socket of its own."""

    def __init__(self, app: Any, lifespan: str) -> None:
        super().__init__(uvicorn.Config(app, lifespan=lifespan, ws="none", log_config=None))
        self.is_up = threading.Event()

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()


@contextmanager
def serving(app: Any, lifespan: str = "on") -> Iterator[int]:
    """The port on which the app answers."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    server = Server(app, lifespan)
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    assert server.is_up.wait(30)
    yield listener.getsockname()[1]
    server.should_exit = True
    thread.join(30)
    assert not thread.is_alive()


@dataclass
class Sent:
    """A request that reached the fake ingress."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


def prediction(request_id: str) -> dict[str, Any]:
    return Prediction(
        request_id=request_id,
        model=ModelInfo(name="fake", version="7", sha256="0" * 64, engine="portable"),
        image=ImageInfo(width=64, height=48, format="JPEG"),
        detections=[
            Detection(
                id=0,
                class_id=1,
                label="HSIL",
                score=0.875,
                box=(1.0, 2.0, 11.0, 12.0),
                box_area=100.0,
                mask_area=80,
                mask=RleMask(size=(48, 64), counts="0"),
            )
        ],
        metrics=Metrics(
            class_distribution={"LSIL": 0, "HSIL": 1}, scores=[0.875], box_areas=[100.0]
        ),
        visualization="AAAA",
        timings_ms={"predict": 1.0},
    ).model_dump(mode="json")


def problem(status: int, code: str, detail: str = "A reason.") -> tuple[int, bytes]:
    written = Problem(title="T", status=status, detail=detail, code=code, request_id="upstream")
    return status, written.model_dump_json().encode()


@dataclass
class FakeIngress:
    """Speaks the ingress's side of the hop, as far as the gateway can tell."""

    port: int = 0
    sent: list[Sent] = field(default_factory=list)
    answer: Callable[[Sent], tuple[int, bytes]] | None = None
    holds: bool = False
    was_dropped: threading.Event = field(default_factory=threading.Event)
    was_asked: threading.Event = field(default_factory=threading.Event)

    def reset(self) -> None:
        self.sent, self.answer, self.holds = [], None, False
        self.was_dropped.clear()
        self.was_asked.clear()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        sent = Sent(scope["method"], scope["path"], scope["query_string"].decode(), headers, body)
        if sent.path == "/predict":
            self.sent.append(sent)
            self.was_asked.set()
        if self.holds:
            await receive()
            self.was_dropped.set()
            return
        status, body = self._respond(sent)
        media = b"application/json" if status == 200 else b"application/problem+json"
        head = [(b"content-type", media), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    def _respond(self, sent: Sent) -> tuple[int, bytes]:
        if self.answer is not None:
            return self.answer(sent)
        if sent.path == "/predict":
            return 200, json.dumps(prediction(sent.headers["x-request-id"])).encode()
        if sent.path == "/model":
            return 200, json.dumps({"name": "fake", "version": "7", "class_names": []}).encode()
        return 200, b'{"status": "ready"}'


@dataclass
class Response:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Gateway:
    """The gateway behind a real socket, spoken to in raw bytes where that matters."""

    port: int

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def exchange(self, request: bytes, method: str = "POST") -> Response:
        """Sends the bytes as they are and reads one answer."""
        with self.connect() as connection:
            connection.sendall(request)
            answer = http.client.HTTPResponse(connection, method=method)
            answer.begin()
            return Response(answer.status, answer.headers, answer.read())

    def get(self, path: str, *headers: str, method: str = "GET") -> Response:
        return self.exchange(head(f"{method} {path}", *headers), method)

    def predict(
        self, body: bytes, *headers: str, query: str = "", media: str | None = None
    ) -> Response:
        media = media or f"multipart/form-data; boundary={BOUNDARY}"
        lines = [f"Content-Type: {media}", f"Content-Length: {len(body)}", *headers]
        return self.exchange(head(f"POST /predict/{query}", *lines) + body)


def head(line: str, *headers: str, host: str = "localhost") -> bytes:
    lines = [f"{line} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


def part(
    content: bytes,
    disposition: str = 'form-data; name="file"; filename="image.jpg"',
    *headers: str,
) -> bytes:
    lines = [f"--{BOUNDARY}", f"Content-Disposition: {disposition}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8") + content + b"\r\n"


def form(*parts: bytes) -> bytes:
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def jpeg(width: int = 64, height: int = 48) -> bytes:
    written = io.BytesIO()
    Image.new("RGB", (width, height), (180, 80, 90)).save(written, "JPEG")
    return written.getvalue()


def the_record() -> Record:
    """The one row that there is."""
    (record,) = Record.objects.all()
    return record


def the_final_record() -> Record:
    """The one row, once it has left `received`: nothing tells a client that has left."""
    for _ in range(3000):
        if Record.objects.exclude(state="received").exists():
            return the_record()
        time.sleep(0.01)
    raise AssertionError("the record never became final")


def assert_refused(response: Response, status: int, code: str, state: str = "rejected") -> Any:
    """The answer is a problem of this kind, and there is exactly one row that says so."""
    told = assert_problem(response, status, code)
    record = the_record()
    assert str(record.request_id) == told["request_id"]
    assert (record.state, record.status, record.error_code) == (state, status, code)
    assert record.finished_at is not None
    return told


def assert_problem(response: Response, status: int, code: str) -> Any:
    assert response.status == status, response.body
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["Cache-Control"] == "no-store"
    told = response.json()
    assert Problem.model_validate(told)
    assert (told["status"], told["code"]) == (status, code)
    assert response.headers["X-Request-ID"] == told["request_id"]
    return told


@pytest.fixture(scope="session")
def _ingress() -> Iterator[FakeIngress]:
    fake = FakeIngress()
    with serving(fake, lifespan="off") as fake.port:
        yield fake


@pytest.fixture(scope="session")
def _gateway(_ingress: FakeIngress, django_db_setup: None) -> Iterator[Gateway]:
    with running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{_ingress.port}") as gateway:
        yield gateway


@contextmanager
def running_gateway(**settings: Any) -> Iterator[Gateway]:
    from gateway.asgi import application

    with override_settings(**settings), serving(application) as port:
        yield Gateway(port)


@pytest.fixture
def ingress(_ingress: FakeIngress) -> FakeIngress:
    _ingress.reset()
    return _ingress


@pytest.fixture
def gateway(_gateway: Gateway, ingress: FakeIngress, transactional_db: None) -> Gateway:
    return _gateway


@pytest.fixture
def key(transactional_db: None) -> str:
    """An `X-API-Key` header with a valid key."""
    return f"X-API-Key: {ApiKey.objects.issue('a clinic')[1]}"
