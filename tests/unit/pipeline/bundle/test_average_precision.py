"""The average precision is pycocotools' own, whatever the samples of the images hold."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from pipeline.bundle.average_precision import evaluate, samples
from pipeline.bundle.coco_rle import polygons_to_rle

IMAGES, CLASSES, SIDE = 12, 3, 64


def make_set(seed: int, scores: int = 5) -> tuple[dict, list[dict]]:
    """Return random annotations, some of them crowds, and detections near to some of them.

    scores: how many different ones there are, so that few make many equal.
    """
    random = np.random.default_rng(seed)
    annotations, detections = [], []
    for image in range(IMAGES):
        for _ in range(random.integers(0, 5)):
            truth = instance(random.integers(0, 40, 2), random.integers(8, 24, 2), image, random)
            annotations.append(truth | {"iscrowd": int(random.random() < 0.1)})
            for _ in range(random.integers(0, 3)):
                x, y, w, h = truth["bbox"]
                moved = instance((x + random.integers(-3, 4), y), (w, h), image, random)
                kept = truth["category_id"] if random.random() < 0.8 else moved["category_id"]
                score = float(random.integers(1, scores + 1) / scores)
                detections.append(moved | {"category_id": kept, "score": score})
    document = {
        "images": [{"id": i, "width": SIDE, "height": SIDE} for i in range(IMAGES)],
        "categories": [{"id": i} for i in range(CLASSES)],
        "annotations": annotations,
    }
    return document, detections


def instance(corner, sides, image: int, random: np.random.Generator) -> dict:
    (x, y), (w, h) = (int(v) for v in corner), (int(v) for v in sides)
    x = max(x, 0)
    polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
    return {
        "image_id": image,
        "category_id": int(random.integers(0, CLASSES)),
        "bbox": [x, y, w, h],
        "segmentation": polygons_to_rle([polygon], (SIDE, SIDE)),
    }


def coco_ap(document: dict, detections: list[dict], kind: str, counts: np.ndarray) -> float:
    """Return pycocotools' AP of a set in which image i is there `counts[i]` times."""
    copies = [(image, copy) for image in range(IMAGES) for copy in range(counts[image])]
    ids = {pair: number for number, pair in enumerate(copies)}

    def repeated(items: list[dict]) -> list[dict]:
        return [
            {"iscrowd": 0, "area": 1.0, **item, "image_id": ids[pair], "id": number}
            for number, (pair, item) in enumerate(
                ((pair, item) for pair in copies for item in items if item["image_id"] == pair[0]),
                1,
            )
        ]

    with contextlib.redirect_stdout(io.StringIO()):
        sets = []
        for items in (document["annotations"], detections):
            coco = COCO()
            images = [{"id": i, "width": SIDE, "height": SIDE} for i in range(len(copies))]
            coco.dataset = {**document, "images": images, "annotations": repeated(items)}
            coco.createIndex()
            sets.append(coco)
        evaluation = COCOeval(*sets, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(8))
def test_average_precision_is_that_of_pycocotools(seed, kind):
    document, detections = make_set(seed)
    once = np.ones(IMAGES, np.int64)
    expected = coco_ap(document, detections, kind, once)
    average_precision = evaluate(document, detections, kind).average_precision(once)
    assert average_precision == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("kind", ["bbox", "segm"])
@pytest.mark.parametrize("seed", range(8))
def test_sample_counts_image_as_often_as_it_holds_it(seed, kind):
    # Of equal scores in one image, pycocotools takes each copy of the image by itself.
    document, detections = make_set(seed, scores=2**40)
    counts = np.random.default_rng(seed).multinomial(IMAGES, [1 / IMAGES] * IMAGES)
    expected = coco_ap(document, detections, kind, counts)
    average_precision = evaluate(document, detections, kind).average_precision(counts)
    assert average_precision == pytest.approx(expected, abs=1e-12)


def test_perfect_detections_have_average_precision_of_one():
    document, _ = make_set(3)
    found = [item | {"score": 0.9} for item in document["annotations"] if not item["iscrowd"]]
    assert evaluate(document, found, "segm").average_precision(np.ones(IMAGES, np.int64)) == 1


def test_no_detections_have_average_precision_of_zero():
    document, _ = make_set(3)
    assert evaluate(document, [], "bbox").average_precision(np.ones(IMAGES, np.int64)) == 0


def test_samples_are_the_same_each_time_and_hold_as_many_images():
    np.testing.assert_array_equal(samples(7), samples(7))
    assert (samples(7).sum(axis=1) == 7).all()
    assert samples(7).shape == (1000, 7)
