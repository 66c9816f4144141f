from uuid import uuid4

import pytest
from prometheus_client import REGISTRY

from gateway import asgi  # noqa: F401, so that every metric there is is registered
from gateway.audit.models import Record, Source, State
from gateway.predict import metrics
from gateway.predict.metrics import observe, observe_stages
from pipeline.errors import LesionserveError
from pipeline.schemas import Detection, Metrics, Prediction, Quality
from tests.integration.gateway.ingress import prediction
from tests.quality import statistics
from tests.unit.gateway.metric_values import changes, value

EDGES = [
    *("0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "0.75", "1.0", "1.5", "2.0", "2.5", "3.0"),
    *("4.0", "5.0", "7.5", "10.0", "15.0", "20.0", "30.0", "60.0", "+Inf"),
]


def record(state: State, **fields: object) -> Record:
    return Record(request_id=uuid4(), state=state, latency_ms=1500.0, **fields)


def answer(*findings: tuple[str, float]) -> Prediction:
    """Return a prediction with these labels and scores, of a model with two more classes."""
    written = prediction("id")
    (detection,) = written["detections"]
    written["detections"] = [
        {**detection, "id": number, "label": label, "score": score}
        for number, (label, score) in enumerate(findings)
    ]
    class_names = dict.fromkeys(["LSIL", "VaIN", *(label for label, _ in findings)])
    detections = [Detection.model_validate(finding) for finding in written["detections"]]
    written["metrics"] = Metrics.of(detections, class_names).model_dump()
    return Prediction.model_validate(written)


def buckets(name: str, **labels: str) -> dict[str, float]:
    return {
        sample.labels["le"]: sample.value
        for family in REGISTRY.collect()
        for sample in family.samples
        if sample.name == f"lesionserve_gateway_{name}_bucket"
        if labels.items() <= sample.labels.items()
    }


@pytest.mark.parametrize("outcome", [state for state in State if state != "received"])
@pytest.mark.parametrize("source", ["client", "probe"])
def test_every_outcome_has_series_from_start(outcome, source):
    assert value("requests_total", outcome=outcome, source=source) >= 0
    assert list(buckets("latency_seconds", outcome=outcome, source=source)) == EDGES


def test_every_error_code_has_series_from_start():
    def codes(error: type[LesionserveError]) -> set[str]:
        return {error.code}.union(*(codes(branch) for branch in error.__subclasses__()))

    assert "database_unavailable" in codes(LesionserveError)
    for code in codes(LesionserveError):
        assert value("errors_total", code=code) >= 0


@pytest.mark.parametrize("outcome", [state for state in State if state != "received"])
def test_record_moves_count_and_latency(outcome):
    slow = buckets("latency_seconds", outcome=outcome, source="client")
    with changes() as changed:
        observe(record(outcome))
    assert changed == {
        f"requests_total {outcome} client": 1,
        f"latency_seconds_count {outcome} client": 1,
    }
    after = buckets("latency_seconds", outcome=outcome, source="client")
    assert [edge for edge in EDGES if after[edge] > slow[edge]] == EDGES[EDGES.index("1.5") :]


def test_error_of_client_counts_by_code():
    with changes() as changed:
        observe(record(State.FAILED, status=504, error_code="deadline_exceeded"))
    assert changed["errors_total deadline_exceeded"] == 1


def test_lesions_count_by_label_score_and_image():
    metrics._detections_of("LSIL")
    with changes() as changed:
        observe(record(State.SUCCEEDED), answer(("HSIL", 0.875), ("HSIL", 0.3), ("LSIL", 0.95)))
    assert changed["detections_total HSIL"] == 2
    assert changed["detections_total LSIL"] == 1
    assert changed["detection_score_count"] == 3
    assert changed["detections_per_image_count"] == 1
    assert value("detections_total", label="VaIN") >= 0, "of the model, and not found yet"


def test_answer_without_lesions_counts_as_image():
    before = buckets("detections_per_image")["0.0"]
    with changes() as changed:
        observe(record(State.SUCCEEDED), answer())
    assert changed["detections_per_image_count"] == 1
    assert buckets("detections_per_image")["0.0"] == before + 1
    assert "detection_score_count" not in changed


def test_withheld_answer_is_no_image_without_lesions():
    quality = Quality(statistics=statistics(), gradable=False, reasons=["too_dark"], withheld=True)
    with changes() as changed:
        observe(record(State.SUCCEEDED), answer().model_copy(update={"quality": quality}))
    assert changed["requests_total succeeded client"] == 1
    assert "detections_per_image_count" not in changed


def test_replay_counts_without_its_lesions():
    with changes() as changed:
        observe(record(State.SUCCEEDED, replayed=True), answer(("HSIL", 0.875)))
    assert changed == {
        "requests_total succeeded client": 1,
        "latency_seconds_count succeeded client": 1,
        "replays_total": 1,
    }


def test_withheld_answer_counts_no_lesions():
    with changes() as changed:
        observe(record(State.FAILED), answer(("HSIL", 0.875)))
    assert not any(series.startswith("detection") for series in changed)


def test_probe_counts_apart():
    with changes() as changed:
        observe(record(State.SUCCEEDED, source=Source.PROBE), answer(("HSIL", 0.875)))
        failed = record(State.FAILED, source=Source.PROBE, error_code="overloaded", replayed=True)
        observe(failed)
    assert changed == {
        "requests_total succeeded probe": 1,
        "latency_seconds_count succeeded probe": 1,
        "requests_total failed probe": 1,
        "latency_seconds_count failed probe": 1,
    }


def test_labels_beyond_limit_share_one_series(monkeypatch):
    monkeypatch.setattr(metrics, "_detections", {})
    monkeypatch.setattr(metrics, "_LABELS_AT_MOST", 3)
    with changes() as changed:
        for number in range(5):
            observe(record(State.SUCCEEDED), answer((f"limit {number}", 0.5)))
    assert changed["detections_total limit 0"] == 1
    assert changed["detections_total (other)"] == 4
    assert "detections_total limit 1" not in changed


def test_stages_and_queue_wait_add_up_to_attempt():
    def sums() -> list[float]:
        stages = ("preprocess", "predictor", "postprocess")
        return [
            *(value("stage_seconds_sum", stage=stage) for stage in stages),
            value("queue_wait_seconds_sum"),
        ]

    before = sums()
    observe_stages({"preprocess": 100.0, "predictor": 500.0, "postprocess": 150.0}, 1.0)
    spent = [after - then for after, then in zip(sums(), before, strict=True)]
    assert spent == pytest.approx([0.1, 0.5, 0.15, 0.25])


@pytest.mark.parametrize("milliseconds", [float("nan"), float("inf"), -1.0, 2000.0])
def test_impossible_time_of_stage_is_not_counted(milliseconds):
    before = value("queue_wait_seconds_sum")
    with changes() as changed:
        observe_stages({"predictor": milliseconds, "other": 1.0}, 1.0)
    assert changed == {"queue_wait_seconds_count": 1}
    assert value("queue_wait_seconds_sum") == pytest.approx(before + 1.0)
