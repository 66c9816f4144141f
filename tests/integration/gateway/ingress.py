import base64
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from inspect import isawaitable
from typing import Any
from urllib.parse import parse_qsl

from pycocotools import mask as coco

from pipeline.image.decode import decode
from pipeline.model_info import ModelInfo
from pipeline.schemas import (
    Detection,
    Metrics,
    PolygonMask,
    Prediction,
    PredictOptions,
    Problem,
    RleMask,
)
from tests.integration.gateway.client import jpeg


@dataclass
class Sent:
    """A request that reached the fake ingress."""

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes


DIGEST = "d" * 64  # of the fake model's bundle
SOFTWARE = {"lesionserve": "0.1.0", "numpy": "2.4.0"}


POLYGON = [1.0, 2.0, 11.0, 2.0, 11.0, 10.0, 1.0, 10.0]


def _rle(height: int, width: int) -> str:
    """Return the polygon in an image of this size as COCO's compressed run lengths."""
    counts: bytes = coco.frPyObjects([POLYGON], height, width)[0]["counts"]
    return counts.decode()


def prediction(
    request_id: str,
    image: bytes | None = None,
    options: PredictOptions | None = None,
    correlation_id: str | None = None,
) -> dict[str, Any]:
    """`image` is by default as `client.jpeg` makes it."""
    asked = PredictOptions() if options is None else options
    info = decode(jpeg() if image is None else image).info
    masks = {
        "rle": RleMask(size=(info.height, info.width), counts=_rle(info.height, info.width)),
        "polygon": PolygonMask(polygons=[POLYGON]),
        "none": None,
    }
    is_below = (asked.score_threshold or 0) > 0.875
    detections = [
        Detection(
            id=0,
            class_id=1,
            label="HSIL",
            score=0.875,
            box=(1.0, 2.0, 11.0, 12.0),
            box_area=100.0,
            mask_area=80,
            mask=masks[asked.masks],
        )
    ]
    detections = [] if is_below else detections
    return Prediction(
        request_id=request_id,
        correlation_id=correlation_id,
        model=ModelInfo(
            name="fake",
            version="7",
            sha256="0" * 64,
            bundle_sha256=DIGEST,
            engine="portable",
            precision="float32",
            score_threshold=0.5,
            software=SOFTWARE,
        ),
        options=asked,
        image=info,
        detections=detections,
        below_threshold=int(is_below),
        metrics=Metrics.of(detections, ("LSIL", "HSIL")),
        visualization=None if asked.visualization == "none" else "AAAA",
        timings_ms={"predict": 1.0},
    ).model_dump(mode="json")


def golden(image: bytes, digest: str = DIGEST) -> dict[str, Any]:
    """The golden cases of the fake model: what it finds in every image."""
    expected = prediction("", image)["detections"]
    encoded = base64.b64encode(image).decode()
    cases = [{"name": f"{name}.jpg", "image": encoded, "expected": expected} for name in "ab"]
    return {"bundle_sha256": digest, "score_threshold": 0.5, "cases": cases}


def problem(sent: Sent, status: int, code: str, detail: str = "A reason.") -> tuple[int, bytes]:
    id_ = sent.headers.get("x-request-id", "none")
    written = Problem(title="T", status=status, detail=detail, code=code, request_id=id_)
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
        answer = self.respond(sent)
        status, body = await answer if isawaitable(answer) else answer
        media = b"application/json" if status == 200 else b"application/problem+json"
        head = [(b"content-type", media), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": head})
        await send({"type": "http.response.body", "body": body})

    @staticmethod
    def predict(sent: Sent) -> dict[str, Any]:
        options = PredictOptions.model_validate(dict(parse_qsl(sent.query)))
        correlation_id = sent.headers.get("x-correlation-id")
        return prediction(sent.headers["x-request-id"], sent.body, options, correlation_id)

    @staticmethod
    def json(answer: dict[str, Any]) -> tuple[int, bytes]:
        return 200, json.dumps(answer).encode()

    def respond(self, sent: Sent) -> tuple[int, bytes]:
        if self.answer is not None:
            return self.answer(sent)
        if sent.path == "/predict":
            return self.json(self.predict(sent))
        if sent.path == "/golden":
            return self.json(golden(jpeg()))
        if sent.path == "/model":
            return self.json({"name": "fake", "version": "7", "digest": DIGEST, "class_names": []})
        return 200, b'{"status": "ready"}'
