"""The staged layout on several nodes: where its stages run, and how it grows."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from pipeline.bundle.bundle import open_bundle
from pipeline.schemas import PredictOptions
from tests.integration.small_bundles import IMAGE
from tests.nodes.conftest import Stack
from tests.waiting import until

pytestmark = pytest.mark.nodes
# The clients keep a tiny model busy for a part of the time only.
SCALES_AT_ONCE = 0.1


def machines(stack: Stack, deployment: str) -> set[str | None]:
    return {replica.machine for replica in stack.cluster.running(deployment)}


def answer_of_one_process(bundle_folder: Path, image: bytes) -> dict[str, Any]:
    """Return the answer of all stages in this process, as `lesionserve predict` gives it."""
    bundle = open_bundle(bundle_folder)
    predictor = bundle.predictor(bundle.load_engine("auto", "cpu"))
    return predictor(image, PredictOptions()).model_dump(mode="json")


def test_stages_on_several_nodes_answer_like_one_process(healthy, gateway):
    healthy.serve("1")
    assert machines(healthy, "Ingress") <= {"cpu-1", "cpu-2"}
    assert machines(healthy, "Predictor") <= {"gpu-1", "gpu-2"}
    for stage in ("Ingress", "Preprocess", "Postprocess"):
        assert machines(healthy, stage) <= {"cpu-1", "cpu-2"}, stage
    assert {"cpu-1", "cpu-2"} <= healthy.cluster.proxies()
    response = httpx.post(
        f"{gateway.url}/predict/",
        files={"file": ("a.jpg", IMAGE)},
        headers={"X-API-Key": gateway.key},
        timeout=60,
        trust_env=False,
    )
    assert response.status_code == 200, response.text
    several = response.json()
    single = answer_of_one_process(healthy.bundles["1"], IMAGE)
    assert several["detections"]
    for name in single.keys() - {"request_id", "timings_ms"}:
        assert several[name] == single[name], name


def test_predictors_scale_up_and_down_across_nodes(healthy, start_crowd, report):
    healthy.serve("1", target_ongoing_requests=SCALES_AT_ONCE)
    crowd = start_crowd()
    crowd.wait_for(200, 20)
    until(lambda: machines(healthy, "Predictor") == {"gpu-1", "gpu-2"}, 120)
    crowd.wait_for(200, 50)
    counts = report.close("predictors scale from 1 to 2 nodes and back", crowd)
    until(lambda: len(machines(healthy, "Predictor")) == 1, 120)
    assert set(counts) == {200}


def test_added_node_is_used_under_load(healthy, start_crowd, report):
    healthy.serve("1", target_ongoing_requests=SCALES_AT_ONCE, max_replicas=3)
    crowd = start_crowd()
    until(lambda: {"gpu-1", "gpu-2"} <= machines(healthy, "Predictor"), 120)
    assert machines(healthy, "Predictor") == {"gpu-1", "gpu-2"}
    healthy.start("gpu-3")
    until(lambda: "gpu-3" in machines(healthy, "Predictor"), 120)
    crowd.wait_for(200, 50)
    counts = report.close("a node is added, and a predictor starts on it", crowd)
    assert set(counts) == {200}
