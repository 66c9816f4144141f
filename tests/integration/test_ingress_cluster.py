"""The graph on a real Ray cluster, in both layouts, with the fake model."""

import asyncio
import io
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import httpx
import numpy as np
import psutil
import pytest
import ray
from PIL import Image
from ray import serve

from gateway.predict.image_request import ImageRequest
from gateway.predict.upstream import Upstream
from pipeline.errors import LesionserveError, PoisonImage
from pipeline.image.decode import decode
from pipeline.image.inspect import Header
from pipeline.image.quality import measure
from pipeline.schemas import Prediction, PredictOptions, Problem
from serve_app.app import wire
from serve_app.args import AppArgs
from tests.fakes import (
    DIES,
    FAILS,
    IS_SLOW,
    open_fake_bundle,
    open_unreproducible_bundle,
    png,
)
from tests.integration.own_ray import TOKEN, own_ray

pytestmark = pytest.mark.cluster
QUEUE = {"max_ongoing_requests": 4, "max_queued_requests": 2}
SIZE = QUEUE | {"num_replicas": 1, "num_cpus": 0.1}
INGRESS = SIZE | {"max_ongoing_requests": 100, "max_queued_requests": 100}
GRAPHS = {
    "fused": {"layout": "fused", "ingress": INGRESS, "pipeline": QUEUE},
    "staged": {
        "layout": "staged",
        "ingress": INGRESS,
        "preprocess": INGRESS,
        "predictor": SIZE,
        "postprocess": INGRESS,
    },
}
MODEL_REPLICA = {"fused": "fused:LesionService", "staged": "staged:Predictor"}


def app_args(layout: str) -> AppArgs:
    return AppArgs.model_validate(
        {
            "model": {"bundle": "nowhere", "threads": 1, "max_batch_size": 1},
            "graph": GRAPHS[layout],
            "threads": 1,
            "deadline": {"default_s": 60, "max_s": 120},
        }
    )


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A Ray instance of our own that serves both layouts, under /fused and /staged.

    It goes with this module: later tests end every process that descends from this one.
    """
    with own_ray() as instance:
        targets = [
            serve.api.RunTarget(wire(app_args(layout), open_fake_bundle), layout, f"/{layout}")
            for layout in GRAPHS
        ]
        serve.run_many(targets)
        yield instance.url


@pytest.fixture(params=list(GRAPHS))
def layout(request) -> str:
    return request.param


@pytest.fixture
def client(url: str, layout: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png"}
    with httpx.Client(base_url=f"{url}/{layout}", headers=headers, timeout=150) as made:
        yield made


def problem(response: httpx.Response) -> Problem:
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert response.headers["cache-control"] == "no-store"
    read = Problem.model_validate_json(response.content)
    assert read.status == response.status_code
    return read


def model_replica(layout: str) -> psutil.Process:
    title = f"ray::ServeReplica:{MODEL_REPLICA[layout]}"
    for process in psutil.Process().children(recursive=True):
        if process.status() != psutil.STATUS_ZOMBIE and title in " ".join(process.cmdline()):
            return process
    raise AssertionError(f"no process is called {title}")


def test_image_is_answered(client):
    response = client.post("/predict?masks=polygon", content=png())
    assert response.status_code == 200, response.text
    prediction = Prediction.model_validate_json(response.content)
    assert prediction.detections[0].box == (0, 0, 20, 20)
    assert prediction.model.name == "fake"
    assert prediction.visualization
    assert prediction.quality.statistics == measure(decode(png()).pixels)
    assert prediction.quality.gradable is None


def test_answer_holds_correlation_id_and_options(client):
    headers = {"X-Correlation-Id": "case-7"}
    query = "?visualization=none&masks=none&score_threshold=1"
    response = client.post(f"/predict{query}", content=png(), headers=headers)
    answer = response.json()
    assert (answer["correlation_id"], answer["below_threshold"]) == ("case-7", 1)
    assert response.headers.get_list("x-correlation-id") == ["case-7"]
    assert answer["options"] == {"masks": "none", "visualization": "none", "score_threshold": 1.0}
    assert answer["model"]["bundle_sha256"] == client.get("/model").json()["digest"]


def test_request_id_is_in_answer_and_once_in_headers(client):
    response = client.post("/predict", content=png(), headers={"X-Request-ID": "mine"})
    assert response.json()["request_id"] == "mine"
    assert response.headers.get_list("x-request-id") == ["mine"]


def test_answer_may_exceed_ray_message_size(client):
    noise = np.random.default_rng(0).integers(0, 255, (1000, 1800, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "PNG")
    assert len(file.getvalue()) > 4 * 1024 * 1024
    response = client.post("/predict?visualization=png", content=file.getvalue())
    assert response.status_code == 200, response.text
    assert len(response.content) > 4 * 1024 * 1024


def test_broken_image_is_refused_by_name(client):
    response = client.post("/predict", content=png()[:-20])
    assert problem(response).code == "broken_image"
    assert response.status_code == 422


def test_model_failure_reveals_no_details(client):
    refusal = problem(client.post("/predict", content=png(FAILS)))
    assert (refusal.status, refusal.code) == (500, "prediction_failed")
    assert "Error" not in refusal.detail


def test_deadline_is_answered_before_model(client):
    response = client.post("/predict", content=png(IS_SLOW), headers={"X-Deadline-Ms": "300"})
    assert problem(response).code == "deadline_exceeded"


def test_ready_ingress_names_its_model(client):
    assert client.get("/readyz").json() == {"status": "ready"}
    assert client.get("/model").json()["name"] == "fake"


def test_overload_is_shed_with_retry_after(client):
    def ask_slowly() -> httpx.Response:
        headers = {"X-Deadline-Ms": "8000"}  # two of them take 6 s, and the others need not end
        return client.post("/predict", content=png(IS_SLOW), headers=headers)

    with ThreadPoolExecutor(8) as pool:
        crowd = [pool.submit(ask_slowly) for _ in range(8)]
        # Patient for a moment only, so that these never wait for the crowd.
        late = [
            client.post("/predict", content=png(), headers={"X-Deadline-Ms": "200"})
            for _ in range(20)
        ]
        responses = late + [future.result() for future in crowd]
    assert {response.status_code for response in responses} <= {200, 503, 504}
    assert any(response.status_code == 200 for response in responses)
    shed = [response for response in responses if response.status_code == 503]
    assert shed
    for response in shed:
        assert problem(response).code == "overloaded"
        assert response.headers["retry-after"] == "2"


def test_request_of_killed_replica_is_answered(url, layout):
    victim = model_replica(layout)
    with ThreadPoolExecutor(1) as pool:
        posted = pool.submit(outcome, f"{url}/{layout}", png(IS_SLOW))
        # The model sleeps 3 s over this image: the request is in it when the replica dies.
        threading.Event().wait(1)
        victim.send_signal(signal.SIGKILL)
        assert posted.result() is None
    assert model_replica(layout).pid != victim.pid


def test_image_that_kills_two_replicas_is_given_up(client, layout, url):
    if layout == "staged":
        assert problem(client.post("/predict", content=png(DIES))).code == "poison"
    else:  # nobody is left to say so but the gateway
        assert isinstance(outcome(f"{url}/{layout}", png(DIES)), PoisonImage)
    assert client.post("/predict", content=png()).status_code == 200


def outcome(url: str, image: bytes) -> LesionserveError | None:
    """What the gateway says of the image; None for an answer.

    Where the stages are replicas of their own the ingress asks another one, and the gateway where
    the ingress dies with them.
    """

    async def ask() -> None:
        upstream = Upstream.connect(f"{url}/", TOKEN, deadline_s=60)
        header, digest = Header("PNG", 40, 20), sha256(image).hexdigest()
        try:
            await upstream.predict(
                ImageRequest(image, digest, header, PredictOptions(), "id"), lambda: None
            )
        finally:
            await upstream.close()

    try:
        asyncio.run(ask())
    except LesionserveError as error:
        return error
    return None


def test_model_that_does_not_reproduce_never_serves(url):
    args = app_args("fused")
    with pytest.raises(RuntimeError, match="failed"):
        serve.run(wire(args, open_unreproducible_bundle), name="bad", route_prefix="/bad")
    deployment = serve.status().applications["bad"].deployments["LesionService"]
    assert deployment.message.endswith("the HSIL with score 0.900 was not found again")
    serve.delete("bad")


def test_service_token_is_in_no_log_of_ray(url):
    logs = [
        os.path.join(folder, name)
        for folder, _, names in os.walk(ray._private.worker._global_node.get_logs_dir_path())
        for name in names
    ]
    assert logs
    for path in logs:
        with open(path, errors="replace") as file:
            assert TOKEN not in file.read(), path
