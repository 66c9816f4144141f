import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cluster.cli.kept_answer import KeptAnswer, UnreadableAnswer, read_kept_answer
from gateway.audit import jsonl
from gateway.audit.models import Record, State
from gateway.usage.api import RecordView
from pipeline.schemas import PolygonMask, PredictOptions
from tests.answers import SIDE, answer, lesion, quality

LESIONS = [lesion(0), lesion(1, at=60, score=0.7, class_id=0)]
ID = UUID(int=7)


def written(folder: Path, text: str) -> Path:
    path = folder / "kept.json"
    path.write_text(text)
    return path


def record(**changes: Any) -> Record:
    row = Record(
        request_id=ID, state=State.SUCCEEDED, status=200, image_format="PNG", image_sha256="a" * 64
    )
    row.set_options(PredictOptions(score_threshold=0.6))
    row.set_prediction(answer(LESIONS))
    for name, value in changes.items():
        setattr(row, name, value)
    return row


def test_answer_is_read_whole(tmp_path):
    prediction = answer(LESIONS)
    kept = read_kept_answer(written(tmp_path, prediction.model_dump_json(indent=1)))
    assert kept.lesions == LESIONS
    assert kept == KeptAnswer.of(prediction)
    assert (kept.model["engine"], kept.model["software"]["numpy"]) == ("openvino", "2.4.0")


def test_answer_of_older_version_is_read_without_what_it_lacks(tmp_path):
    document = answer(LESIONS).model_dump(mode="json")
    del document["image"]["sha256"], document["model"]["software"]
    del document["model"]["score_threshold"], document["quality"]
    kept = read_kept_answer(written(tmp_path, json.dumps(document)))
    assert (kept.image.sha256, kept.model.get("software")) == (None, None)
    assert "score_threshold" not in kept.model


def test_answer_of_later_version_is_read_without_what_is_new(tmp_path):
    document = answer(LESIONS).model_dump(mode="json")
    document["model"]["new"] = document["options"]["new"] = document["new"] = 1
    assert read_kept_answer(written(tmp_path, json.dumps(document))).lesions == LESIONS


@pytest.mark.parametrize(
    "line",
    [jsonl.line, lambda row: RecordView.model_validate(row).model_dump_json()],
    ids=["export", "records API"],
)
def test_record_is_read_as_counts(tmp_path, line):
    kept = read_kept_answer(written(tmp_path, line(record())))
    assert kept.lesions is None
    assert kept.counts == {"LSIL": 1, "HSIL": 1}
    assert kept.score_counts == [0, 0, 0, 0, 0, 0, 0, 1, 0, 1]
    assert kept.options.score_threshold == 0.6
    assert kept.image.sha256 == "a" * 64
    assert kept.model == {
        "name": "demo",
        "version": "1",
        "bundle_sha256": "d" * 64,
        "engine": "openvino",
        "precision": "float32",
        "score_threshold": 0.5,
        "software": {"numpy": "2.4.0", "openvino": "2026.2.0"},
    }


def test_record_of_withheld_answer_is_known(tmp_path):
    row = record(detection_count=None, class_counts={}, score_counts=[])
    assert read_kept_answer(written(tmp_path, jsonl.line(row))).is_withheld
    prediction = answer(quality=quality("glare", withheld=True))
    assert KeptAnswer.of(prediction).is_withheld


def test_record_without_answer_is_refused(tmp_path):
    path = written(tmp_path, jsonl.line(record(state=State.FAILED)))
    with pytest.raises(UnreadableAnswer, match="its record says failed"):
        read_kept_answer(path)


def test_answer_among_several_is_named_by_its_id(tmp_path):
    others = [record(request_id=UUID(int=number)) for number in (1, 2)]
    lines = [jsonl.line(row) for row in (*others, record())]
    lines.append(json.dumps({"trail": "event", "action": "record.read"}))
    path = written(tmp_path, "\n".join(lines) + "\n")
    assert read_kept_answer(path, str(ID)).request_id == str(ID)
    with pytest.raises(UnreadableAnswer, match="3 answers or records"):
        read_kept_answer(path)
    with pytest.raises(UnreadableAnswer, match="no answer with the request id"):
        read_kept_answer(path, "r-9")


def test_polygons_become_the_same_run_lengths(tmp_path):
    rings = [[10.0, 10.0, 30.0, 10.0, 30.0, 30.0, 10.0, 30.0]]
    of_polygons = lesion().model_copy(update={"mask": PolygonMask(polygons=rings)})
    prediction = answer(
        [of_polygons], options=PredictOptions(masks="polygon", visualization="none")
    )
    assert KeptAnswer.of(prediction).lesions == [lesion()]


@pytest.mark.parametrize(
    "mask",
    [{"size": (SIDE, SIDE), "counts": "0~"}, {"size": (SIDE, SIDE - 1)}],
    ids=["cut off", "of another size"],
)
def test_damaged_mask_is_refused(mask):
    damaged = lesion()
    damaged = damaged.model_copy(update={"mask": damaged.mask.model_copy(update=mask)})
    with pytest.raises(UnreadableAnswer, match="mask of lesion 0"):
        KeptAnswer.of(answer([damaged]))


@pytest.mark.parametrize(
    "text",
    ["", "no JSON", "[]", "1", "{}", '{"detections": []}', "[" * 100_000, "\xff"],
    ids=["empty", "text", "list", "number", "nothing", "half", "deep", "latin"],
)
def test_what_is_no_answer_is_refused(tmp_path, text):
    path = tmp_path / "kept.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UnreadableAnswer):
        read_kept_answer(path)
