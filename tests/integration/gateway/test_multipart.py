"""Forms as real clients send them, and the same verdict on every form in both halves."""

import asyncio
import random
import shutil
import socket
import subprocess
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from django.conf import settings

from tests.integration.gateway.client import Gateway, Response, head, jpeg
from tests.integration.gateway.servers import running_gateway, serving
from tests.integration.gateway.test_hop import Graph, real

IMAGE = jpeg()
DISPOSITION = 'form-data; name="file"; filename="case 1.jpg"'


@pytest.fixture
def graph() -> Graph:
    return Graph()


@pytest.fixture
def halves(graph: Graph, transactional_db: None) -> Iterator[tuple[Gateway, Gateway]]:
    """The gateway, and the ingress behind it."""
    with (
        serving(real(graph, settings.SERVICE_TOKEN), lifespan="off") as port,
        running_gateway(UPSTREAM_URL=f"http://127.0.0.1:{port}") as gateway,
    ):
        yield gateway, Gateway(port)


def post(server: Gateway, path: str, credential: str, media: str, body: bytes) -> Response:
    lines = [f"Content-Type: {media}", f"Content-Length: {len(body)}", credential]
    return server.exchange(head(f"POST {path}", *lines) + body)


def form(boundary: str, *headers: str, content: bytes = IMAGE) -> bytes:
    lines = "\r\n".join([f"--{boundary}", *headers, "", ""])
    return lines.encode() + content + f"\r\n--{boundary}--\r\n".encode()


ANDROID = "*****"
WINDOWS = "---------------------------" + "8d" * 24  # 75 letters
PLAIN = form("b", f"Content-Disposition: {DISPOSITION}")
REPORTED = {
    "a CRLF before the first boundary": ("b", b"\r\n" + PLAIN),
    "a preamble": ("b", b"--preamble\r\n" + PLAIN),
    "an epilogue": ("b", PLAIN + b"epilogue"),
    "Android's asterisks": (ANDROID, form(ANDROID, f"Content-Disposition: {DISPOSITION}")),
    "a boundary in braces": ("{a-b}", form("{a-b}", f"Content-Disposition: {DISPOSITION}")),
    "a boundary of 75 letters": (WINDOWS, form(WINDOWS, f"Content-Disposition: {DISPOSITION}")),
    "no file name": ("b", form("b", 'Content-Disposition: form-data; name="file"')),
    "an empty file name": (
        "b",
        form("b", 'Content-Disposition: form-data; name="file"; filename=""'),
    ),
    "filename* alone": (
        "b",
        form("b", "Content-Disposition: form-data; name=file; filename*=utf-8''%C3%BC.jpg"),
    ),
    "a folded header": (
        "b",
        form("b", 'Content-Disposition: form-data;\r\n name="file";\r\n\tfilename="a"'),
    ),
}


@pytest.mark.parametrize("name", REPORTED)
def test_both_halves_accept_forms_of_real_clients(halves, graph, key, name):
    boundary, body = REPORTED[name]
    media = f"multipart/form-data; boundary={boundary}"
    gateway, ingress = halves
    token = f"Authorization: Bearer {settings.SERVICE_TOKEN}"
    for server, path, credential in ((gateway, "/predict/", key), (ingress, "/predict", token)):
        response = post(server, path, credential, media, body)
        assert response.status == 200, response.body
    assert [call[0] for call in graph.calls] == [IMAGE, IMAGE]


PIECES = [
    b"--b", b"--b--", b"--b \t", b"--", b"\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b" ", b"text",
    b"Content-Disposition: " + DISPOSITION.encode(),
    b'Content-Disposition: form-data; name="other"',
    b'content-disposition: FORM-DATA;\r\n name=file',
    b"Content-Transfer-Encoding: base64",
    b'; name="file"',
    b"; name*=utf-8''file",
    IMAGE,
]  # fmt: skip
MEDIA = [
    "multipart/form-data; boundary=b",
    'Multipart/Form-Data; charset=utf-8; boundary="b"',
    "multipart/form-data; boundary=b; boundary=b",
    "multipart/form-data; boundary*=utf-8''b",
    "multipart/form-data",
]


def generated_forms(count: int) -> Iterator[tuple[str, bytes]]:
    """A good form with a few pieces added, taken out or exchanged."""
    chance = random.Random(1)
    good = [b"--b", b"\r\n", PIECES[11], b"\r\n\r\n", IMAGE, b"\r\n", b"--b--", b"\r\n"]
    for _ in range(count):
        pieces = list(good)
        for _ in range(chance.randint(0, 3)):
            place = chance.randrange(len(pieces))
            pieces[place : place + chance.randint(0, 1)] = chance.choices(PIECES, k=1)
        media = MEDIA[0] if chance.random() < 0.8 else chance.choice(MEDIA)
        yield media, b"".join(pieces)


def test_both_halves_agree_on_any_form(halves, graph, key):
    gateway, ingress = halves
    token = f"Authorization: Bearer {settings.SERVICE_TOKEN}"
    statuses = []
    for media, body in generated_forms(400):
        graph.calls.clear()
        inner = post(ingress, "/predict", token, media, body)
        outer = post(gateway, "/predict/", key, media, body)
        if outer.status in (415, 422):  # of the image, which is not at issue
            assert inner.status == outer.status
            statuses.append("no image")
            continue
        assert (outer.status, inner.status) in ((200, 200), (400, 400)), body
        if outer.status == 400:
            assert outer.json()["detail"] == inner.json()["detail"]
        else:
            assert graph.calls[0] == graph.calls[1]
        statuses.append(outer.status)
    assert statuses.count(200) > 50
    assert statuses.count(400) > 50


def address(gateway: Gateway) -> str:
    return f"http://localhost:{gateway.port}/predict/"


def credential(key: str) -> dict[str, str]:
    name, _, value = key.partition(": ")
    return {name: value}


def test_answers_httpx(gateway: Gateway, key):
    files = {"file": ("müller.jpg", IMAGE)}
    response = httpx.post(address(gateway), files=files, headers=credential(key), trust_env=False)
    assert response.status_code == 200


def test_answers_requests(gateway: Gateway, key):
    requests = pytest.importorskip("requests")
    with requests.Session() as session:
        session.trust_env = False
        for file in (IMAGE, ("müller.jpg", IMAGE), (None, IMAGE), ("", IMAGE, "image/jpeg")):
            answer = session.post(address(gateway), files={"file": file}, headers=credential(key))
            assert answer.status_code == 200, answer.text


def test_answers_aiohttp(gateway: Gateway, key):
    aiohttp = pytest.importorskip("aiohttp")

    async def status(**fields: str) -> int:
        form = aiohttp.FormData()
        form.add_field("file", BytesIO(IMAGE), **fields)
        async with aiohttp.ClientSession() as session:
            posting = session.post(address(gateway), data=form, headers=credential(key))
            async with posting as response:
                return response.status

    assert asyncio.run(status(filename="müller.jpg", content_type="image/jpeg")) == 200
    assert asyncio.run(status(content_type="image/jpeg")) == 200


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "field",
    ["file=@{}", "file=@{};filename=", "file=<{}", 'file=@{};filename="a;\\"b\\\\.jpg"'],
)
def test_answers_curl(gateway: Gateway, key, tmp_path: Path, field):
    (tmp_path / "case.jpg").write_bytes(IMAGE)
    command = ["curl", "--silent", "--noproxy", "*", "--header", key, "--write-out", "%{http_code}"]
    command += ["--form", field.format(tmp_path / "case.jpg"), "--output", str(tmp_path / "answer")]
    done = subprocess.run([*command, address(gateway)], capture_output=True, check=True, text=True)
    assert done.stdout == "200", (tmp_path / "answer").read_text()


def test_refused_form_gets_its_reason(gateway: Gateway, key):
    body = form("b", 'Content-Disposition: form-data; name="image"; filename="a.jpg"')
    response = post(gateway, "/predict/", key, "multipart/form-data; boundary=b", body)
    assert response.status == 400
    assert response.json()["detail"] == (
        "The multipart form cannot be read: the part is not named 'file'. "
        "Send the image as its one part, 'file'."
    )


def test_form_in_small_packets_is_answered(gateway: Gateway, key):
    request = head(
        "POST /predict/",
        "Content-Type: multipart/form-data; boundary=b",
        f"Content-Length: {len(PLAIN)}",
        key,
    )
    with gateway.connect() as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        whole = request + PLAIN
        for start in range(0, len(whole), 40):
            connection.sendall(whole[start : start + 40])
        assert connection.recv(12) == b"HTTP/1.1 200"
