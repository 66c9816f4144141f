"""A receiver of OTLP over HTTP, which keeps what it is sent.

`python -m tests.otlp` prints a line for each span, in place of a collector (docs/operations.md).
"""

import argparse
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

WITHIN_S = 30.0

_POLL_S = 0.01  # for a quick end


@dataclass(frozen=True)
class ReceivedSpan:
    name: str
    service: str
    instance: str | None
    trace_id: str
    span_id: str
    parent_id: str
    kind: str
    is_failed: bool
    milliseconds: float
    attributes: dict[str, Any]


@dataclass
class OtlpReceiver:
    """`holds` keeps every answer back until `release` is set."""

    port: int = 0
    status: int = 200
    holds: bool = False
    on_span: Callable[[ReceivedSpan], None] | None = None
    release: threading.Event = field(default_factory=threading.Event)
    paths: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    spans: list[ReceivedSpan] = field(default_factory=list)
    _change: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def receive(self, path: str, body: bytes) -> None:
        spans = list(spans_of(body))
        with self._change:
            self.paths.append(path)
            self.bodies.append(body)
            self.spans += spans
            self._change.notify_all()
        for span in spans if self.on_span else []:
            self.on_span(span)
        if self.holds:
            self.release.wait()

    def clear(self) -> None:
        with self._change:
            self.paths, self.bodies, self.spans = [], [], []

    def await_span(self, name: str, trace_id: str | None = None) -> ReceivedSpan:
        """Return the first span of this name, of any trace or of this one."""

        def first() -> ReceivedSpan | None:
            named = (span for span in self.spans if span.name == name)
            return next((s for s in named if trace_id in (None, s.trace_id)), None)

        with self._change:
            span = self._change.wait_for(first, WITHIN_S)
            assert span is not None, f"no span {name} in {[span.name for span in self.spans]}"
            return span

    def trace(self, trace_id: str, number: int) -> dict[str, ReceivedSpan]:
        """Wait for this number of spans of a trace, and return them by their names."""

        def spans() -> list[ReceivedSpan]:
            return [span for span in self.spans if span.trace_id == trace_id]

        with self._change:
            self._change.wait_for(lambda: len(spans()) >= number, WITHIN_S)
            assert len(spans()) == number, sorted(span.name for span in spans())
            return {span.name: span for span in spans()}


@contextmanager
def otlp_receiver(port: int = 0, **options: Any) -> Iterator[OtlpReceiver]:
    receiver = OtlpReceiver(**options)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.receive(self.path, self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(receiver.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    receiver.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(_POLL_S,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        receiver.release.set()
        server.shutdown()
        server.server_close()


def spans_of(body: bytes) -> Iterator[ReceivedSpan]:
    for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
        resource = _values(resource_spans.resource.attributes)
        for scope_spans in resource_spans.scope_spans:
            for span in scope_spans.spans:
                yield ReceivedSpan(
                    name=span.name,
                    service=resource["service.name"],
                    instance=resource.get("service.instance.id"),
                    trace_id=span.trace_id.hex(),
                    span_id=span.span_id.hex(),
                    parent_id=span.parent_span_id.hex(),
                    kind=Span.SpanKind.Name(span.kind).removeprefix("SPAN_KIND_").lower(),
                    is_failed=span.status.code == Status.STATUS_CODE_ERROR,
                    milliseconds=(span.end_time_unix_nano - span.start_time_unix_nano) / 1e6,
                    attributes=_values(span.attributes),
                )


def _values(attributes: Any) -> dict[str, Any]:
    return {
        attribute.key.removeprefix("lesionserve."): getattr(
            attribute.value, attribute.value.WhichOneof("value")
        )
        for attribute in attributes
    }


def _print(span: ReceivedSpan) -> None:
    attributes = " ".join(f"{name}={value}" for name, value in span.attributes.items())
    line = f"{span.trace_id} {span.service} {span.name} {span.milliseconds:.1f} ms {attributes}"
    print(line.rstrip(), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.otlp")
    parser.add_argument("--port", type=int, default=4318)
    with otlp_receiver(parser.parse_args().port, on_span=_print) as receiver:
        print(f"listening on {receiver.url}", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
