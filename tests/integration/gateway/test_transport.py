"""An ingress that breaks HTTP or TLS itself: each case is written to the socket byte by byte."""

import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.launcher.certificates import Authority
from tests.integration.gateway.client import form, jpeg, part
from tests.integration.gateway.ingress import prediction
from tests.integration.gateway.records import assert_refused, the_record
from tests.integration.gateway.servers import running_gateway

IMAGE = form(part(jpeg()))
Answer = Callable[[socket.socket, bytes], None]


@contextmanager
def speaking(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[tuple[int, list]]:
    """The port of a server that reads a request, gives it to `answer`, and hangs up; and the
    requests as they came, of whatever form."""
    came: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed: the test is over
            threading.Thread(target=talk, args=(connection,)).start()

    def talk(connection: socket.socket) -> None:
        try:
            with connection if context is None else context.wrap_socket(connection, True) as stream:
                came.append(read_request(stream))
                answer(stream, came[-1])
        except OSError:
            pass  # the gateway hung up first, as it may

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield listener.getsockname()[1], came
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        server.join(30)


def read_request(connection: socket.socket) -> bytes:
    read = b""
    while b"\r\n\r\n" not in read:
        read += _some(connection)
    head, _, body = read.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += _some(connection)
    return head + b"\r\n\r\n" + body


def _some(connection: socket.socket) -> bytes:
    if not (more := connection.recv(65536)):
        raise ConnectionError("the client is gone")
    return more


def whole_answer(request: bytes) -> bytes:
    request_id = request.lower().partition(b"x-request-id: ")[2].split(b"\r\n")[0].decode()
    body = json.dumps(prediction(request_id)).encode()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return head.encode() + b"\r\n" + body


def trickle(connection: socket.socket, request: bytes) -> None:
    for byte in whole_answer(request):
        connection.sendall(bytes([byte]))
        time.sleep(0.02)


def trickle_in_chunks(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        connection.sendall(b"1\r\n \r\n")
        time.sleep(0.02)


def inform_for_ever(connection: socket.socket, request: bytes) -> None:
    while True:
        connection.sendall(b"HTTP/1.1 102 Processing\r\n\r\n")
        time.sleep(0.002)


def say_nothing(connection: socket.socket, request: bytes) -> None:
    connection.recv(1)  # until the gateway hangs up


@pytest.mark.parametrize(
    "answer", [trickle, trickle_in_chunks, inform_for_ever, say_nothing], ids=lambda a: a.__name__
)
def test_deadline_ends_stalled_responses(answer, key):
    with (
        speaking(answer) as (port, came),
        running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{port}", DEADLINE_S=2) as gateway,
    ):
        response = gateway.predict(IMAGE, key)
        assert_refused(response, 504, "deadline_exceeded", "failed")
        assert len(came) == the_record().attempts == 1


def no_http(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"220 mail.example ESMTP\r\n\r\n")


def header_bomb(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2**20)


def two_lengths(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}")


def a_bomb_in_gzip(connection: socket.socket, request: bytes) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n"
    connection.sendall(head + b"\x1f\x8bno")


def a_redirect(connection: socket.socket, request: bytes) -> None:
    target = connection.getsockname()[1]
    head = f"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:{target}/\r\nContent-Length: 0\r\n\r\n"
    connection.sendall(head.encode())


def more_than_memory(connection: socket.socket, request: bytes) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    chunk = b"1000000\r\n" + b" " * 0x1000000 + b"\r\n"
    while True:
        connection.sendall(chunk)


@pytest.mark.parametrize(
    "answer",
    [no_http, header_bomb, two_lengths, a_bomb_in_gzip, a_redirect, more_than_memory],
    ids=lambda answer: answer.__name__,
)
def test_foreign_responses_are_neither_relayed_nor_retried(answer, key):
    with (
        speaking(answer) as (port, came),
        running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{port}") as gateway,
    ):
        assert_refused(gateway.predict(IMAGE, key), 502, "upstream_fault", "failed")
        assert len(came) == 1


def hang_up(connection: socket.socket, request: bytes) -> None:
    pass


def hang_up_midway(connection: socket.socket, request: bytes) -> None:
    connection.sendall(whole_answer(request)[:-20])


@pytest.mark.parametrize("answer", [hang_up, hang_up_midway], ids=lambda answer: answer.__name__)
def test_truncated_response_is_retried_once(answer, key):
    def once(connection: socket.socket, request: bytes) -> None:
        if len(came) == 1:
            answer(connection, request)
        else:
            connection.sendall(whole_answer(request))

    with (
        speaking(once) as (port, came),
        running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{port}") as gateway,
    ):
        assert gateway.predict(IMAGE, key).status == 200
        record = the_record()
        assert (record.state, record.attempts) == ("succeeded", 2)


def tls(folder: Path, *hosts: str) -> tuple[Path, ssl.SSLContext]:
    """An authority's certificate, and the TLS of a server that has one of it for these hosts."""
    authority = Authority.kept_in(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(authority.issue(folder / "server.pem", hosts))
    return authority.path, context


def answered(connection: socket.socket, request: bytes) -> None:
    connection.sendall(whole_answer(request))


def test_ingress_with_trusted_certificate_gets_image(tmp_path, key):
    ca, context = tls(tmp_path, "127.0.0.1")
    with (
        speaking(answered, context) as (port, _),
        running_gateway(UPSTREAM_URL=f"https://127.0.0.1:{port}", UPSTREAM_CA=ca) as gateway,
    ):
        assert gateway.predict(IMAGE, key).status == 200


@pytest.mark.parametrize("wrong", ["authority", "host"])
def test_ingress_with_wrong_certificate_gets_no_image(tmp_path, key, wrong):
    ca, _ = tls(tmp_path / "ours", "127.0.0.1")
    theirs = tmp_path / ("ours" if wrong == "host" else "theirs")
    _, context = tls(theirs, "elsewhere.example" if wrong == "host" else "127.0.0.1")
    with (
        speaking(answered, context) as (port, came),
        running_gateway(UPSTREAM_URL=f"https://127.0.0.1:{port}", UPSTREAM_CA=ca) as gateway,
    ):
        response = gateway.predict(IMAGE, key)
        assert_refused(response, 502, "upstream_distrusted", "failed")
        assert came == []


def test_ingress_without_tls_gets_no_image(tmp_path, key):
    ca, _ = tls(tmp_path, "127.0.0.1")
    with (
        speaking(answered) as (port, came),
        running_gateway(UPSTREAM_URL=f"https://127.0.0.1:{port}", UPSTREAM_CA=ca) as gateway,
    ):
        assert_refused(gateway.predict(IMAGE, key), 503, "unavailable", "failed")
        assert came == []
