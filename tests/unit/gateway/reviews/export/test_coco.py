"""The COCO file, read by pycocotools and by `lesionserve pack --accuracy`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from gateway.reviews.export.coco import coco_text
from pipeline.bundle.annotated_images import read_annotated_images
from tests.unit.gateway.reviews.export.reviews import (
    SQUARE,
    TRIANGLE,
    TWO_RINGS,
    digest,
    record,
    review_two,
    reviewed_clinic,
    selection,
)

pytestmark = pytest.mark.django_db

CLASSES = ("LSIL", "HSIL", "carcinoma")


def exported(folder: Path, classes: Sequence[str] = CLASSES, **choice: Any) -> Path:
    path = folder / "coco.json"
    path.write_text(coco_text(selection(**choice), classes))
    return path


def test_masks_that_pycocotools_reads_are_the_outlines(tmp_path):
    reviewed_clinic()
    coco = COCO(str(exported(tmp_path)))
    assert [coco.cats[number]["name"] for number in sorted(coco.cats)] == list(CLASSES)
    (image,) = (row for row in coco.imgs.values() if row["sha256"] == digest("lesions"))
    assert (image["file_name"], image["width"], image["height"]) == (digest("lesions"), 640, 480)
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
    assert [annotation["category_id"] for annotation in annotations] == [1, 3, 2]
    for annotation, outline in zip(annotations, (SQUARE, TWO_RINGS, TRIANGLE), strict=True):
        rles = coco_mask.frPyObjects(outline, 480, 640)
        assert np.array_equal(coco.annToMask(annotation), coco_mask.decode(coco_mask.merge(rles)))
        assert annotation["area"] == pytest.approx(coco.annToMask(annotation).sum(), rel=0.1)
        assert annotation["bbox"] == pytest.approx(
            list(coco_mask.toBbox(coco_mask.merge(rles))), abs=1.5
        )
    assert annotations[1]["bbox"] == [10, 10, 30, 10]
    assert annotations[1]["area"] == 150


def test_each_image_has_lesions_of_its_latest_review_and_names_all(tmp_path):
    reviewed_clinic()
    coco = COCO(str(exported(tmp_path)))
    (image,) = (row for row in coco.imgs.values() if row["sha256"] == digest("disputed"))
    assert image["agreement"] is False
    assert [(row["reviewer"], row["lesions"]) for row in image["reviews"]] == [
        ("user:jane", 2),
        ("user:john", 1),
    ]
    annotations = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
    assert [row["reviewer"] for row in annotations] == ["user:john"]
    assert image["reviews"][1]["model"] == "cervix 3"


def test_ungradable_images_are_no_images_without_lesions(tmp_path):
    reviewed_clinic()
    document = json.loads(exported(tmp_path).read_text())
    assert len(document["images"]) == 3
    (image,) = document["ungradable_images"]
    assert (image["sha256"], image["ungradable"]) == (digest("blurred"), "out_of_focus")
    annotated = {row["image_id"] for row in document["annotations"]}
    assert image["id"] not in annotated | {row["id"] for row in document["images"]}


def test_file_says_what_it_leaves_out_and_holds_no_comment(tmp_path):
    reviewed_clinic()
    text = exported(tmp_path).read_text()
    left_out = json.loads(text)["left_out"][-1]
    assert (left_out["sha256"], left_out["reviewer"]) == (digest("gaps"), "user:jane")
    assert "without a verdict: 1 lesion" in left_out["reasons"]
    assert "Jane Doe" not in text


def test_incomplete_review_says_its_gaps_and_keeps_box(tmp_path):
    reviewed_clinic()
    coco = COCO(str(exported(tmp_path, incomplete=True)))
    (image,) = (row for row in coco.imgs.values() if row["sha256"] == digest("gaps"))
    assert "without a place: 2 missed lesions" in image["reviews"][0]["gaps"]
    (annotation,) = coco.loadAnns(coco.getAnnIds(imgIds=image["id"]))
    assert (annotation["bbox"], annotation["segmentation"]) == ([1, 2, 29, 38], [])


def test_same_feedback_gives_same_file(tmp_path):
    reviewed_clinic()
    first = exported(tmp_path).read_bytes()
    assert exported(tmp_path).read_bytes() == first


def test_export_measures_a_bundle(tmp_path):
    for number in range(30):
        (tmp_path / f"{number}.jpg").write_bytes(str(number).encode())
        review_two(record(str(number)), missed=[{"label": "HSIL", "outline": TRIANGLE}])
    files = {digest(str(number)): f"{number}.jpg" for number in range(30)}
    path = exported(tmp_path, files=files)
    images = read_annotated_images(path, tmp_path, CLASSES[::-1], masks=True)
    assert (len(images.images), images.count) == (30, 90)
