"""A public address that is played by a function, and golden cases without an ingress."""

import json
from dataclasses import dataclass, field
from typing import Any

import httpx

from gateway.access.token import Token
from gateway.environment import ProbeSettings
from gateway.monitor.golden import GoldenSet, parse_golden
from gateway.monitor.probe import Prober
from pipeline.errors import LesionserveError
from tests.integration.gateway.client import jpeg
from tests.integration.gateway.ingress import DIGEST, golden, prediction

SETTINGS = ProbeSettings("http://gateway.example", str(Token.generate()), None, 60)
ID = "0b0a7a4e-5a0e-4c0e-9a52-1f0c6a3f6a52"
OTHER = "e" * 64


def golden_set(digest: str = DIGEST, image: bytes | None = None) -> GoldenSet:
    return parse_golden(json.dumps(golden(image or jpeg(), digest)).encode())


def answer(
    digest: str = DIGEST, score: float = 0.875, image: bytes | None = None
) -> httpx.Response:
    """Return the answer of a model with this digest, which gives its lesion this score."""
    content = prediction(ID, image)
    content["options"]["visualization"], content["visualization"] = "none", None
    content["model"]["bundle_sha256"] = digest
    content["detections"][0]["score"] = score
    content["metrics"]["scores"] = [score]
    return httpx.Response(200, json=content, headers={"X-Request-ID": ID})


@dataclass
class Clinic:
    """The public address, which gives `answers` in turn, and what /golden says, in turn."""

    answers: list[httpx.Response | Exception] = field(default_factory=lambda: [answer()])
    sets: list[GoldenSet | LesionserveError] = field(default_factory=lambda: [golden_set()])
    requests: list[httpx.Request] = field(default_factory=list)
    fetches: int = 0

    def prober(self, deadline_s: float = 30) -> Prober:
        return Prober(SETTINGS, deadline_s, self._fetch, httpx.MockTransport(self._respond))

    async def _fetch(self) -> GoldenSet:
        self.fetches += 1
        return _raised_or_returned(self.sets, self.fetches)

    def _respond(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        response = _raised_or_returned(self.answers, len(self.requests))
        # As from a socket: not read yet.
        stream = httpx.ByteStream(response.content)
        return httpx.Response(response.status_code, headers=response.headers, stream=stream)


def _raised_or_returned(values: list[Any], number: int) -> Any:
    """Return the value of this number, or the last one; raise it where it is an error."""
    value = values[min(number, len(values)) - 1]
    if isinstance(value, Exception):
        raise value
    return value
