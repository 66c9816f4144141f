import sys

import pytest

import pipeline.tracing


def hide_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process find no exporter, and forget the modules that have imported it."""
    for name in ("sdk", "otlp"):
        monkeypatch.delitem(sys.modules, f"pipeline.tracing.{name}", raising=False)
        monkeypatch.delattr(pipeline.tracing, name, raising=False)
    exporter = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
    monkeypatch.setitem(sys.modules, exporter, None)
