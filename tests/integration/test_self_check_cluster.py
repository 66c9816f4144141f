"""Metrics and self-checks of replicas on a real Ray cluster, in both layouts."""

import re
import time
from collections.abc import Iterator

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families
from ray import serve

from pipeline.schemas import Prediction
from serve_app.app import wire
from serve_app.args import AppArgs
from tests.fakes import CORRUPTS, MANIFEST, open_golden_bundle, png
from tests.integration.own_ray import TOKEN, OwnRay, own_ray
from tests.integration.test_ingress_cluster import app_args, model_replica
from tests.waiting import until

pytestmark = pytest.mark.cluster
# One layout finds the fault by its golden case, the other by its weights.
CHECKS = {
    "fused": {"golden_every_s": 1.0, "weights_every_s": None},
    "staged": {"golden_every_s": None, "weights_every_s": 1.0},
}
FAILURE = {"fused": ("golden", "differs"), "staged": ("weights", "changed")}


def checked_args(layout: str) -> AppArgs:
    args = app_args(layout)
    return args.model_copy(update={"model": args.model.model_copy(update=CHECKS[layout])})


@pytest.fixture(scope="module")
def loaded() -> Iterator[tuple[OwnRay, float]]:
    """Both layouts on a Ray instance, and when their models had loaded (time.monotonic())."""
    with own_ray() as instance:
        targets = [
            serve.api.RunTarget(
                wire(checked_args(layout), open_golden_bundle), layout, f"/{layout}"
            )
            for layout in CHECKS
        ]
        serve.run_many(targets)
        yield instance, time.monotonic()


@pytest.fixture
def instance(loaded: tuple[OwnRay, float]) -> OwnRay:
    return loaded[0]


@pytest.fixture(params=list(CHECKS))
def layout(request) -> str:
    return request.param


@pytest.fixture
def client(instance: OwnRay, layout: str) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png"}
    with httpx.Client(base_url=f"{instance.url}/{layout}", headers=headers, timeout=150) as made:
        yield made


def samples(instance: OwnRay, application: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the labels and values of our metrics of an application, by name."""
    text = httpx.get(instance.metrics_url, timeout=10).text
    found: dict[str, list[tuple[dict[str, str], float]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if "lesionserve" in sample.name and sample.labels["application"] == application:
                found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_metrics_of_request_are_on_fixed_port(client, instance, layout):
    assert client.post("/predict", content=png()).status_code == 200

    def stages() -> set[str]:
        counts = samples(instance, layout).get("ray_lesionserve_stage_seconds_count", [])
        return {labels["stage"] for labels, value in counts if value >= 1}

    until(lambda: stages() == {"preprocess", "predictor", "postprocess"}, 60)
    metrics = samples(instance, layout)
    ((labels, value),) = metrics["ray_lesionserve_model_info"]
    assert value == 1
    model = {
        "model": "fake",
        "version": "1",
        "bundle_sha256": MANIFEST.digest,
        "engine": "fake",
        "precision": "float32",
    }
    assert model.items() <= labels.items()
    deployment = "LesionService" if layout == "fused" else "Predictor"
    assert labels["deployment"] == deployment
    assert labels["replica"]
    for name in ("batch_images_count", "batch_wait_seconds_count"):
        ((labels, value),) = metrics[f"ray_lesionserve_{name}"]
        assert value >= 1
    assert [value for _, value in metrics["ray_lesionserve_waiting_images"]] == [0]
    assert [value for _, value in metrics["ray_lesionserve_golden_min_mask_iou"]] == [1]
    ((_, at),) = metrics["ray_lesionserve_golden_success_timestamp_seconds"]
    assert 0 <= time.time() - at < 300


def test_golden_route_returns_cases_of_loaded_model(client):
    report = client.get("/golden").json()
    assert report["bundle_sha256"] == MANIFEST.digest
    assert [case["name"] for case in report["cases"]] == ["a.png"]


def test_gauges_last(instance, layout, loaded):
    """Ray drops a gauge that is not set again for 20 s; this one is set as the model loads."""
    time.sleep(max(0.0, loaded[1] + 25 - time.monotonic()))
    assert "ray_lesionserve_model_info" in samples(instance, layout)


def test_replica_with_altered_weights_is_replaced(client, instance, layout):
    victim = model_replica(layout)
    answers = [ask(client)]
    client.post("/predict", content=png(CORRUPTS))
    deadline = time.monotonic() + 120
    while not (answers[-1] == "right" and "refused" in answers):
        assert time.monotonic() < deadline, answers
        answers.append(ask(client))
    answers += [ask(client) for _ in range(20)]
    # Wrong answers come before the first refusal only.
    order = " ".join(key for key, _ in runs(answers))
    assert re.fullmatch("right (wrong )?refused right", order), order
    until(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE, 60)
    assert model_replica(layout).pid != victim.pid
    check, result = FAILURE[layout]

    def failures() -> float:
        checks = samples(instance, layout).get(f"ray_lesionserve_{check}_checks_total", [])
        return sum(value for labels, value in checks if labels["result"] == result)

    until(lambda: failures() == 1, 30)


def ask(client: httpx.Client) -> str:
    response = client.post("/predict?visualization=none", content=png())
    if response.status_code == 503:
        assert response.headers["retry-after"]
        return "refused"
    assert response.status_code == 200, response.text
    box = Prediction.model_validate_json(response.content).detections[0].box
    return "right" if box == (0, 0, 20, 20) else "wrong"


def runs(answers: list[str]) -> list[tuple[str, int]]:
    """Return each answer that repeats, with how often it comes in a row."""
    lengths: list[tuple[str, int]] = []
    for answer in answers:
        if lengths and lengths[-1][0] == answer:
            lengths[-1] = answer, lengths[-1][1] + 1
        else:
            lengths.append((answer, 1))
    return lengths
