"""The hub before a Space: its page with the frame, and its proxy, which ends TLS."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from cluster.launcher.certificates import Authority
from cluster.launcher.ports import choose_ports

HUB, SPACE_HOST = "huggingface.co", "lab-demo.hf.space"
PAGE = f"""<!doctype html><meta charset="utf-8"><title>lab/demo</title>
<style>body {{ margin: 0; font: 14px sans-serif }} header {{ padding: 12px }}
iframe {{ width: 100%; height: calc(100vh - 48px); border: 0 }}</style>
<header><b>lab / demo</b> · Running</header>
<iframe src="https://{SPACE_HOST}/" sandbox="allow-downloads allow-forms allow-modals allow-popups
allow-popups-to-escape-sandbox allow-same-origin allow-scripts"></iframe>"""
_HOP_BY_HOP = (b"connection", b"transfer-encoding", b"keep-alive")


class HubProxy:
    """An ASGI application that forwards what is for the Space to `url`, as proxies do."""

    def __init__(self, url: str) -> None:
        self._client = httpx.AsyncClient(base_url=url, timeout=60, trust_env=False)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope["headers"])
        if headers[b"host"].startswith(HUB.encode()):
            await _answer(send, 200, [(b"content-type", b"text/html")], PAGE.encode())
            return
        body = b""
        while (message := await receive())["type"] == "http.request":
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        forwarded = [*filter(None, [headers.get(b"x-forwarded-for")]), b"203.0.113.7"]
        headers = {name: value for name, value in headers.items() if name not in _HOP_BY_HOP}
        headers |= {b"x-forwarded-for": b", ".join(forwarded), b"x-forwarded-proto": b"https"}
        target = scope["raw_path"] + (
            b"?" + scope["query_string"] if scope["query_string"] else b""
        )
        response = await self._client.request(
            scope["method"], target.decode(), headers=list(headers.items()), content=body
        )
        kept = ("content-encoding", "content-length", "transfer-encoding", "connection")
        answer = [(n, v) for n, v in response.headers.raw if n.lower().decode() not in kept]
        await _answer(send, response.status_code, answer, response.content)


async def _answer(send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@contextmanager
def running_hub(url: str, folder: Path) -> Iterator[list[str]]:
    """Serve the hub in front of the Space at `url`.

    Yield the arguments by which Chromium takes every host name for it.
    """
    certificate = Authority.kept_in(folder).issue(folder / "hub.pem", [HUB, SPACE_HOST])
    (port,) = choose_ports([None])
    config = uvicorn.Config(
        HubProxy(url),
        port=port,
        lifespan="off",
        log_config=None,
        ssl_certfile=str(certificate),
        ssl_keyfile=str(certificate),
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield [f"--host-resolver-rules=MAP * 127.0.0.1:{port}"]
    finally:
        server.should_exit = True
        thread.join(30)
