import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pycocotools import mask as coco

from pipeline.bundle.annotated_images import (
    MIN_IMAGES,
    AnnotatedImages,
    read_annotated_images,
)
from pipeline.errors import AnnotationError
from tests.fakes import png

WIDTH, HEIGHT = 40, 20
IMAGES = MIN_IMAGES + 4
SQUARE = [[1, 2, 11, 2, 11, 12, 1, 12]]
CLASSES = ["LSIL", "HSIL"]


@pytest.fixture
def document(tmp_path: Path) -> dict[str, Any]:
    """Return a COCO document whose images are written; the last four have no annotation."""
    for number in range(IMAGES):
        (tmp_path / f"{number}.png").write_bytes(png((number, 0, 0), WIDTH, HEIGHT))
    return {
        "info": {"description": "keys of other tools are ignored"},
        "images": [
            {"id": 100 + i, "file_name": f"{i}.png", "width": WIDTH, "height": HEIGHT}
            for i in range(IMAGES)
        ],
        "annotations": [
            {
                "id": i,
                "image_id": 100 + i,
                "category_id": 7 if i % 2 else 3,
                "bbox": [1, 2, 10, 10],
                "segmentation": SQUARE,
                "area": 100,
            }
            for i in range(MIN_IMAGES)
        ],
        "categories": [
            {"id": 0, "name": "lesions", "supercategory": "none"},
            {"id": 3, "name": "HSIL"},
            {"id": 7, "name": "LSIL"},
        ],
    }


def read(folder: Path, document: object, masks: bool = True, **options: Any) -> AnnotatedImages:
    path = folder / "annotations.json"
    path.write_text(json.dumps(document))
    return read_annotated_images(path, folder, CLASSES, masks=masks, **options)


def test_reads_images_with_classes_by_name(document, tmp_path):
    annotated = read(tmp_path, document)
    assert len(annotated.images) == IMAGES
    assert annotated.read(annotated.images[2]) == png((2, 0, 0), WIDTH, HEIGHT)
    assert annotated.count == MIN_IMAGES
    assert annotated.sha256 == hashlib.sha256(json.dumps(document).encode()).hexdigest()
    first, second = annotated.document["annotations"][:2]
    assert (first["image_id"], first["category_id"]) == (0, 1)
    assert (second["image_id"], second["category_id"]) == (1, 0)
    assert coco.area(first["segmentation"]) == 100


@pytest.mark.parametrize("form", ["polygons", "list", "text"])
def test_reads_each_form_of_mask(document, tmp_path, form):
    runs = [1 * HEIGHT + 2] + [10, 10] * 10
    runs[-1] = WIDTH * HEIGHT - sum(runs[:-1])
    text = coco.frPyObjects({"counts": runs, "size": [HEIGHT, WIDTH]}, HEIGHT, WIDTH)["counts"]
    size = [HEIGHT, WIDTH]
    forms = {
        "polygons": SQUARE,
        "list": {"size": size, "counts": runs},
        "text": {"size": size, "counts": text.decode()},
    }
    document["annotations"][0]["segmentation"] = forms[form]
    mask = read(tmp_path, document).document["annotations"][0]["segmentation"]
    assert coco.area(mask) == 100
    assert coco.toBbox(mask).tolist() == [1, 2, 10, 10]


def test_crowds_are_kept_and_not_counted(document, tmp_path):
    document["annotations"][0]["iscrowd"] = 1
    annotated = read(tmp_path, document)
    assert annotated.count == MIN_IMAGES - 1
    assert annotated.document["annotations"][0]["iscrowd"] == 1


def test_images_for_calibration_are_left_out(document, tmp_path):
    digest = hashlib.sha256((tmp_path / "0.png").read_bytes()).hexdigest()
    annotated = read(tmp_path, document, left_out={digest})
    assert (len(annotated.images), annotated.left_out) == (IMAGES - 1, 1)
    assert annotated.images[0].file_name == "1.png"
    assert annotated.document["annotations"][0]["image_id"] == 0
    assert annotated.count == MIN_IMAGES - 1


def test_model_without_masks_needs_boxes_alone(document, tmp_path):
    for annotation in document["annotations"]:
        del annotation["segmentation"]
    assert read(tmp_path, document, masks=False).count == MIN_IMAGES
    with pytest.raises(AnnotationError, match=r"annotation 1, of 0\.png: it has no mask"):
        read(tmp_path, document)


def change_first(**changes: object) -> Callable[[dict[str, Any]], None]:
    return lambda document: document["annotations"][0].update(changes)


def rename(old: str, new: str) -> Callable[[dict[str, Any]], None]:
    def apply(document: dict[str, Any]) -> None:
        for category in document["categories"]:
            if category["name"] == old:
                category["name"] = new

    return apply


def drop_class(document: dict[str, Any]) -> None:
    for annotation in document["annotations"]:
        annotation["category_id"] = 3


def crowd_class(document: dict[str, Any]) -> None:
    for annotation in document["annotations"]:
        annotation["iscrowd"] = annotation["category_id"] // 7


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (rename("HSIL", "hsil"), "the category 'hsil' is no class of the model"),
        (rename("HSIL", "LSIL"), "two categories are named 'LSIL'"),
        (lambda d: d["categories"][0].update(id=3), "two categories have the same id"),
        (drop_class, "0 images with 'LSIL' cannot tell"),
        (crowd_class, "0 images with 'LSIL' cannot tell"),
        (change_first(category_id=9), "no category has the id 9"),
        (change_first(image_id=9), "annotation 1 is of an image 9, which is not listed"),
        (change_first(bbox=[1, 2, 0, 10]), "annotations.0.bbox.2"),
        (change_first(bbox=[1, 2, 10]), "annotations.0.bbox"),
        (change_first(segmentation=[]), "annotation 1, of 0.png: it has no mask"),
        (change_first(segmentation=[[1, 2, 3, 4]]), "fewer than three points"),
        (
            change_first(segmentation={"size": [HEIGHT, WIDTH], "counts": [5, 5]}),
            "annotation 1, of 0.png: the runs of its mask do not fill the image",
        ),
        (
            change_first(segmentation={"size": [WIDTH, HEIGHT], "counts": [800]}),
            "its mask has another size than its image",
        ),
        (lambda d: d["images"][1].update(id=100), "two images have the id 100"),
        (lambda d: d["images"][1].update(file_name="0.png"), "two images have the file 0.png"),
        (lambda d: d["images"][1].update(file_name="gone.png"), "1 image of 34 cannot be found"),
        (lambda d: d["images"][1].pop("width"), "images.1.width"),
        (lambda d: d.pop("categories"), "categories: Field required"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_refuses_annotations_that_do_not_serve(document, tmp_path, damage, reason):
    damage(document)
    with pytest.raises(AnnotationError) as caught:
        read(tmp_path, document)
    assert reason in str(caught.value)


def test_refuses_too_few_images(document, tmp_path):
    document["images"] = document["images"][: MIN_IMAGES - 1]
    document["annotations"] = document["annotations"][: MIN_IMAGES - 1]
    with pytest.raises(AnnotationError, match="29 annotated images cannot tell"):
        read(tmp_path, document)


@pytest.mark.parametrize("content", [[], "text", None])
def test_refuses_file_that_is_no_coco_document(tmp_path, content):
    with pytest.raises(AnnotationError, match=r"annotations\.json is no COCO file"):
        read(tmp_path, content)


def test_refuses_file_that_is_not_there(tmp_path):
    with pytest.raises(AnnotationError, match=r"gone\.json cannot be read"):
        read_annotated_images(tmp_path / "gone.json", tmp_path, CLASSES, masks=True)
