import json
from dataclasses import dataclass
from typing import Any

from asgiref.typing import ASGISendCallable

from gateway.context import Headers


@dataclass(frozen=True, slots=True)
class Response:
    """A complete HTTP response, in ASGI's terms."""

    status: int
    headers: Headers
    body: bytes

    async def send(self, send: ASGISendCallable) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status,
                "headers": self.headers,
                "trailers": False,
            }
        )
        await send({"type": "http.response.body", "body": self.body, "more_body": False})


def response_of(
    status: int, media_type: str, body: bytes, headers: Headers | None = None
) -> Response:
    """Return a response that no cache stores and whose type no browser guesses."""
    return Response(
        status,
        [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"cache-control", b"no-store"),
            (b"x-content-type-options", b"nosniff"),
            *(headers or []),
        ],
        body,
    )


def json_response(status: int, content: Any) -> Response:
    body = json.dumps(content).encode()
    return response_of(status, "application/json; charset=utf-8", body)
