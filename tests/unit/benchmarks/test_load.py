import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import repeat

from benchmarks.load import Answer, apply, form_request, image_request, send

IMAGE = b"\xff\xd8 an image"


class Handler(BaseHTTPRequestHandler):
    """Answer by the way that the path names, and note what was asked on which connection."""

    protocol_version = "HTTP/1.1"
    server: "Server"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.client_address, self.path, dict(self.headers), body))
        way = self.path.partition("?")[0]
        if way == "/broken":
            self.close_connection = True
            return
        status = 503 if way == "/busy" else 200
        self.send_response(status)
        if status == 503:
            self.send_header("Retry-After", "1")
        if way == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"3\r\nabc\r\n10\r\n" + b"d" * 16 + b"\r\n0\r\n\r\n")
        elif way == "/until-closed":
            self.end_headers()
            self.wfile.write(b"abc")
            self.close_connection = True
        else:
            self.send_header("Content-Length", "3")
            if way == "/closing":
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(b"abc")

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[tuple[object, str, dict[str, str], bytes]] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serving() -> Iterator[Server]:
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


def load(server: Server, path: str, count: int = 3, clients: int = 1):
    request = image_request(f"{server.url}{path}", {"X-API-Key": "k"}, IMAGE)
    return apply(server.url, repeat(request, count), clients)


def connections(server: Server) -> int:
    return len({address for address, *_ in server.requests})


def test_sends_each_request_once_by_all_clients():
    with serving() as server:
        outcome = load(server, "/a?masks=none", count=20, clients=4)
    assert outcome.statuses == {"200": 20}
    assert len(outcome.latencies_ms) == len(server.requests) == 20
    assert connections(server) == 4
    assert outcome.per_second * outcome.seconds == 20
    (_, path, headers, body) = server.requests[0]
    assert (path, body) == ("/a?masks=none", IMAGE)
    assert headers["X-API-Key"] == "k"
    assert headers["Content-Type"] == "image/jpeg"


def test_form_holds_the_image_as_its_file():
    with serving() as server:
        request = form_request(f"{server.url}/a", {}, IMAGE)
        assert apply(server.url, repeat(request, 1), 1).statuses == {"200": 1}
    ((_, _, headers, body),) = server.requests
    boundary = headers["Content-Type"].removeprefix("multipart/form-data; boundary=")
    head, content = body.split(b"\r\n\r\n", 1)
    assert head.startswith(f"--{boundary}\r\n".encode())
    assert b'name="file"' in head
    assert content == IMAGE + f"\r\n--{boundary}--\r\n".encode()


def test_keeps_its_connection_after_a_chunked_answer():
    with serving() as server:
        assert load(server, "/chunked").statuses == {"200": 3}
    assert connections(server) == 1


def test_connects_anew_after_an_answer_that_closes():
    for path in ("/closing", "/until-closed"):
        with serving() as server:
            assert load(server, path).statuses == {"200": 3}
        assert connections(server) == 3


def test_broken_connection_is_counted_by_its_error():
    with serving() as server:
        outcome = load(server, "/broken")
    assert outcome.statuses == {"IncompleteReadError": 3}
    assert [answer.status for answer in outcome.answers] == [0, 0, 0]
    assert outcome.good == []


def test_nobody_listening_is_counted_by_its_error():
    with Server() as server:
        url = server.url
    outcome = apply(url, repeat(image_request(url, {}, IMAGE), 2), 1)
    assert outcome.statuses == {"ConnectionRefusedError": 2}


def test_refusal_is_recorded_with_its_retry_after():
    with serving() as server:
        answers: list[Answer] = []
        request = image_request(f"{server.url}/busy", {}, IMAGE)
        asyncio.run(send(server.url, repeat(request, 2), answers.append))
    assert [(answer.status, answer.retry_after) for answer in answers] == [(503, True)] * 2


def test_no_request_starts_after_the_time():
    with serving() as server:
        request = image_request(f"{server.url}/a", {}, IMAGE)
        outcome = apply(server.url, repeat(request), 2, seconds=0)
    assert outcome.answers == []
    assert server.requests == []
