"""Traces through a real Ray cluster, in both layouts, at a receiver of OTLP."""

import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest
import ray
from ray import serve

from cluster.launcher.ports import choose_ports
from pipeline.tracing.spans import ENDPOINT
from serve_app.app import wire
from tests.clinics import issue_key
from tests.fakes import FAILS, open_fake_bundle, png
from tests.integration.gateway.client import form, part
from tests.integration.gateway.servers import running_gateway
from tests.integration.test_ingress_cluster import GRAPHS, app_args
from tests.otlp import OtlpReceiver, ReceivedSpan, otlp_receiver

pytestmark = pytest.mark.cluster
TOKEN = "t" * 32
PARENT = "b7ad6b7169203331"
STEPS = {"ingress", "preprocess", "predictor", "batch_wait", "model", "postprocess"}
GATEWAY_STEPS = 8
SECRET = "Jane.Doe"


class Cluster(NamedTuple):
    url: str
    receiver: OtlpReceiver
    folder: Path


@pytest.fixture(scope="module")
def _cluster() -> Iterator[Cluster]:
    """A Ray instance of our own that serves both layouts, and sends its spans."""
    with (
        tempfile.TemporaryDirectory(prefix="ls-", dir="/tmp", ignore_cleanup_errors=True) as folder,
        pytest.MonkeyPatch.context() as patch,
        otlp_receiver() as receiver,
    ):
        patch.setenv("LESIONSERVE_SERVICE_TOKENS", TOKEN)
        patch.setenv(ENDPOINT, receiver.url)
        patch.setenv("RAY_AUTH_TOKEN", "r" * 64)
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            address="local",
            num_cpus=2,
            include_dashboard=False,
            object_store_memory=256 * 1024 * 1024,
            log_to_driver=False,
            _temp_dir=folder,
        )
        (port,) = choose_ports([None])
        logs = {"encoding": "JSON"}
        options = {"host": "127.0.0.1", "port": port}
        serve.start(proxy_location="HeadOnly", http_options=options, logging_config=logs)
        targets = [
            serve.api.RunTarget(
                wire(app_args(layout), open_fake_bundle), layout, f"/{layout}", logs
            )
            for layout in GRAPHS
        ]
        serve.run_many(targets)
        yield Cluster(f"http://127.0.0.1:{port}", receiver, Path(folder))
        serve.shutdown()
        ray.shutdown()


@pytest.fixture
def cluster(_cluster: Cluster) -> Cluster:
    _cluster.receiver.clear()
    return _cluster


@pytest.fixture
def trace_id() -> str:
    """The trace of one test: spans of an earlier test may come late."""
    return uuid.uuid4().hex


@pytest.fixture(params=list(GRAPHS))
def layout(request) -> str:
    return request.param


def post(cluster: Cluster, layout: str, image: bytes, **headers: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png"} | headers
    url = f"{cluster.url}/{layout}/predict?visualization=none"
    return httpx.post(url, content=image, headers=headers, timeout=120)


def header(trace: str, flags: str = "01") -> dict[str, str]:
    return {"traceparent": f"00-{trace}-{PARENT}-{flags}"}


def assert_stages(trace: dict[str, ReceivedSpan], layout: str) -> None:
    """The spans of the ingress and of each stage, each below the one that called it."""
    ingress = trace["ingress"]
    for name in ("preprocess", "predictor", "postprocess"):
        assert trace[name].parent_id == ingress.span_id, name
    for name in ("batch_wait", "model"):
        assert trace[name].parent_id == trace["predictor"].span_id, name
    assert {span.service for span in trace.values()} == {"lesionserve-inference"}
    assert ingress.attributes == {"status": 200}
    assert trace["predictor"].attributes == {"model": "fake", "model_version": "1"}
    assert trace["model"].attributes == {"batch_images": 1}
    replicas = {span.instance for span in trace.values()}
    assert None not in replicas
    assert len(replicas) == {"fused": 1, "staged": 4}[layout]


def test_trace_goes_through_every_stage(cluster, layout, trace_id):
    assert post(cluster, layout, png(), **header(trace_id)).status_code == 200
    trace = cluster.receiver.trace(trace_id, len(STEPS))
    assert set(trace) == STEPS
    assert trace["ingress"].parent_id == PARENT
    assert_stages(trace, layout)


def test_request_without_sampled_trace_has_no_spans(cluster, layout, trace_id):
    for headers in ({}, header("b" * 32, "00"), {"traceparent": f"00-{'b' * 32}-x"}):
        assert post(cluster, layout, png(), **headers).status_code == 200
    assert post(cluster, layout, png(), **header(trace_id)).status_code == 200
    cluster.receiver.trace(trace_id, len(STEPS))
    assert len([span for span in cluster.receiver.spans if span.name == "ingress"]) == 1
    assert "b" * 32 not in {span.trace_id for span in cluster.receiver.spans}


def test_caller_without_token_is_not_traced(cluster, layout, trace_id):
    refused = post(cluster, layout, png(), **header("b" * 32), Authorization="Bearer no")
    assert refused.status_code == 401
    assert post(cluster, layout, png(), **header(trace_id)).status_code == 200
    cluster.receiver.trace(trace_id, len(STEPS))
    assert "b" * 32 not in {span.trace_id for span in cluster.receiver.spans}


def test_failed_stage_is_marked_without_text(cluster, layout, trace_id):
    assert post(cluster, layout, png(FAILS), **header(trace_id)).status_code == 500
    trace = cluster.receiver.trace(trace_id, len(STEPS) - 1)
    assert trace["ingress"].attributes == {"code": "prediction_failed", "status": 500}
    assert {name for name, span in trace.items() if span.is_failed} == {"ingress", "predictor"}
    assert b"fake model fails" not in b"".join(cluster.receiver.bodies)


def test_refused_image_is_no_failure(cluster, layout, trace_id):
    assert post(cluster, layout, png()[:-20], **header(trace_id)).status_code == 422
    ingress = cluster.receiver.trace(trace_id, {"fused": 1, "staged": 2}[layout])["ingress"]
    assert (ingress.is_failed, ingress.attributes["code"]) == (False, "broken_image")


def test_nothing_that_caller_writes_is_exported(cluster, layout, trace_id):
    headers = header(trace_id) | {
        "tracestate": f"{SECRET.lower()}=1",
        "baggage": f"name={SECRET}",
        "X-Request-ID": SECRET,
        "X-Correlation-Id": SECRET,
        "User-Agent": SECRET,
    }
    for image in (png(), png()[:-20], SECRET.encode()):
        post(cluster, layout, image, **headers)
    url = f"{cluster.url}/{layout}/predict?{SECRET}={SECRET}"
    headers["Authorization"] = f"Bearer {TOKEN}"
    assert httpx.post(url, content=SECRET.encode(), headers=headers).status_code == 400
    # Fused, the header is inspected before the stages: no span of one for what is no image.
    cluster.receiver.trace(trace_id, {"fused": len(STEPS) + 3, "staged": len(STEPS) + 5}[layout])
    bodies = b"".join(cluster.receiver.bodies).lower()
    for text in (SECRET, TOKEN, "predict?", "127.0.0.1", "traceback"):
        assert text.lower().encode() not in bodies, text


def test_log_of_ingress_has_trace_id_of_traced_requests(cluster, layout):
    post(cluster, layout, png(), **header("c" * 32), **{"X-Request-ID": f"{layout}-1"})
    post(cluster, layout, png()[:-20], **header("d" * 32), **{"X-Request-ID": f"{layout}-2"})
    post(cluster, layout, png(), **{"X-Request-ID": f"{layout}-3"})
    logs = (cluster.folder / "session_latest/logs/serve").glob("replica_*.log")
    # The first line of a replica is not in JSON.
    lines = [line for path in logs for line in path.read_text().splitlines() if line[0] == "{"]
    ids = {
        (line["request_id"], line["message"]): line.get("trace_id")
        for line in map(json.loads, lines)
        if line.get("request_id", "").startswith(f"{layout}-")
        if line["message"] in ("answered", "refused")
    }
    assert ids == {
        (f"{layout}-1", "answered"): "c" * 32,
        (f"{layout}-2", "refused"): "d" * 32,
        (f"{layout}-3", "answered"): None,
    }


def test_trace_of_client_reaches_every_stage_through_gateway(
    cluster, layout, trace_id, transactional_db
):
    key = f"X-API-Key: {issue_key()[1]}"
    settings = {"UPSTREAM_URL": f"{cluster.url}/{layout}/", "SERVICE_TOKEN": TOKEN}
    settings |= {"OTLP_ENDPOINT": cluster.receiver.url, "TRACE_SHARE": 1.0}
    with running_gateway(**settings) as gateway:
        response = gateway.predict(
            form(part(png())), key, f"traceparent: {header(trace_id)['traceparent']}"
        )
        assert response.status == 200, response.body
        trace = cluster.receiver.trace(trace_id, GATEWAY_STEPS + len(STEPS))
    assert trace["predict"].parent_id == PARENT
    assert trace["upstream_attempt"].parent_id == trace["predict"].span_id
    assert trace["ingress"].parent_id == trace["upstream_attempt"].span_id
    assert_stages({name: trace[name] for name in STEPS}, layout)
