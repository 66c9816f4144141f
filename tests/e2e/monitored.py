"""Start `lesionserve up --monitoring`, load it, and ask its Prometheus."""

import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np

from cluster.launcher.ports import choose_ports
from cluster.launcher.ready_file import Ready
from tests.e2e.up import IMAGE, Up, manage, running

_PIXELS = cv2.imdecode(np.frombuffer(IMAGE, np.uint8), cv2.IMREAD_COLOR)
DARK = cv2.imencode(".jpg", _PIXELS // 8)[1].tobytes()  # it is not gradable
LOAD_S = 40.0  # longer than several scrapes, so that every rate has two samples


@dataclass(frozen=True)
class Monitored:
    """Hold a running stack with the addresses of its Prometheus and Alertmanager."""

    up: Up
    data: Path
    ports: tuple[int, int]
    ready: Ready
    client: httpx.Client

    def get(self, path: str) -> Any:
        return data_of(self.client.get(f"/api/v1/{path}"))

    def query(self, expression: str) -> list[dict[str, Any]]:
        expression = expression.replace("$__rate_interval", "1m")
        data = data_of(self.client.post("/api/v1/query", data={"query": expression}))
        result: list[dict[str, Any]] = data["result"]
        return result

    def rules(self) -> list[dict[str, Any]]:
        return [rule for group in self.get("rules")["groups"] for rule in group["rules"]]

    def targets(self) -> list[dict[str, Any]]:
        targets: list[dict[str, Any]] = self.get("targets")["activeTargets"]
        return targets


def data_of(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()["data"]


@contextmanager
def monitored(folder: Path) -> Iterator[Monitored]:
    """Yield a stack that has been under load, and was given a verdict.

    It had dark images among others, and has refused some requests.
    """
    ports = prometheus_port, alertmanager_port = choose_ports([None, None])
    options = ["--prometheus-port", prometheus_port, "--alertmanager-port", alertmanager_port]
    with running(folder, "--tls", "--monitoring", *map(str, options)) as up:
        ready = Ready.model_validate_json(up.ready_file.read_bytes())
        load(up)
        judge(up, folder / "data")
        with httpx.Client(base_url=ready.prometheus or "", timeout=30, trust_env=False) as client:
            yield Monitored(up, folder / "data", ports, ready, client)


def load(up: Up) -> None:
    ends_at = time.monotonic() + LOAD_S
    with ThreadPoolExecutor(3) as threads:
        while time.monotonic() < ends_at:
            answers = list(threads.map(lambda _: up.post().status_code, range(3)))
            assert set(answers) <= {200, 503}
            dark = up.post(DARK)
            assert dark.status_code == 503 or not dark.json()["quality"]["gradable"], dark.text
            up.post(b"just text")
            up.post(IMAGE, key=up.key[:-1] + "x")
            time.sleep(0.5)


def judge(up: Up, data: Path) -> None:
    """Accept every lesion of an image."""
    scopes = "--scope predict --scope feedback"
    key = manage(data, f"issue_key --name judge {scopes}").stdout.strip()
    answer = up.post(key=key).json()
    lesions = [
        {"id": lesion["id"], "label": lesion["label"], "verdict": "accept"}
        for lesion in answer["detections"]
    ]
    given = httpx.post(
        f"{up.url}/records/{answer['request_id']}/feedback",
        json={"lesions": lesions},
        headers={"X-API-Key": key},
        verify=ssl.create_default_context(cafile=up.ca),
    )
    assert given.status_code == 200, given.text
