"""The gateway's log, at its most talkative, after requests with a patient's name in every place."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from serve_app.paths import ROOT
from tests.images import encoded, exif, picture
from tests.integration.gateway.client import Gateway, form, head, part
from tests.integration.gateway.databases import Database, Databases
from tests.integration.gateway.ingress import FakeIngress

NAME = "Jane-Doe-1970"


@contextmanager
def logging_gateway(database: Database, log: Path) -> Iterator[Gateway]:
    with socket.socket() as listener, log.open("wb") as output:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = subprocess.Popen(
            [sys.executable, "-m", "uvicorn", "gateway.asgi:application", "--fd",
             str(listener.fileno()), "--http", "gateway.protocol:GatewayProtocol",
             "--no-access-log", "--ws", "none", "--lifespan", "on"],
            env=database.environment, cwd=ROOT, pass_fds=[listener.fileno()],
            stdout=output, stderr=output,
        )  # fmt: skip
        try:
            yield Gateway(listener.getsockname()[1])
        finally:
            server.terminate()
            server.wait(60)


@pytest.mark.parametrize("level", ["INFO", "DEBUG"])
def test_log_holds_nothing_that_names_patient(
    level, ingress: FakeIngress, of_sqlite: Databases, tmp_path
):
    database = of_sqlite.empty()
    database.changes = {
        "LESIONSERVE_HTTPS_ONLY": "false",
        "LESIONSERVE_UPSTREAM_URL": f"http://127.0.0.1:{ingress.port}",
        "LESIONSERVE_LOG_LEVEL": level,
    }
    key = database.output("issue_key", "--name", "a clinic").strip()
    tags = exif(1)
    tags[0x010E] = NAME
    image = encoded(picture(), "JPEG", exif=tags, comment=NAME.encode())
    named = f'form-data; name="file"; filename="{NAME}.jpg"'
    sender = f"X-API-Key: {key}"
    with logging_gateway(database, tmp_path / "log") as gateway:
        statuses = [
            gateway.predict(form(part(image, named)), sender).status,
            gateway.predict(form(part(image[:200], named)), sender).status,
            gateway.predict(form(part(NAME.encode(), named)), sender).status,
            gateway.predict(form(part(image, f'form-data; name="{NAME}"')), sender).status,
            gateway.predict(form(part(image, named)), sender, query=f"?patient={NAME}").status,
            gateway.predict(form(part(image, named)), sender, query=f"?masks={NAME}").status,
            gateway.predict(form(part(image, named)), f"X-API-Key: {NAME}").status,
            gateway.predict(form(part(image, named)), sender, f"User-Agent: {NAME}").status,
            gateway.predict(form(part(image, named)), sender, f"X-Correlation-Id: {NAME} x").status,
            gateway.predict(form(part(image, named)), sender, media=f"text/{NAME}").status,
            gateway.get(f"/records/{NAME}?name={NAME}", f"Referer: http://x/{NAME}").status,
            gateway.get(f"/usage/?from={NAME}", sender).status,
            gateway.get("/admin/", f"Cookie: sessionid={NAME}; csrftoken={NAME}").status,
            gateway.exchange(head("GET /docs", host=f"{NAME}.example")).status,
            gateway.exchange(f"BREW /{NAME} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()).status,
        ]
    assert statuses[0] == 200
    assert 400 in statuses
    assert all(status < 500 for status in statuses), statuses
    text = (tmp_path / "log").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len([line for line in lines if line["event"] == "request"]) >= 10
    assert NAME not in text
    assert key not in text
