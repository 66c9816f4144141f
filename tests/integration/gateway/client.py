import http.client
import io
import json
import socket
from dataclasses import dataclass
from typing import Any

from PIL import Image

BOUNDARY = "a-boundary"


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
