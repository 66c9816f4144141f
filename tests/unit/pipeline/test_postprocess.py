import base64
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from pipeline.image.decode import DecodedImage
from pipeline.instances import Instances
from pipeline.postprocess import Findings, postprocess
from pipeline.schemas import ImageInfo, PolygonMask, PredictOptions, RleMask

CLASSES = ("LSIL", "HSIL", "carcinoma")
PLAIN = PredictOptions(visualization="none")


def source(height: int = 60, width: int = 80) -> DecodedImage:
    pixels = np.full((height, width, 3), 128, dtype=np.uint8)
    return DecodedImage(pixels, ImageInfo(width=width, height=height, format="PNG"))


def instances(boxes: list[list[float]], *, masks: bool = True) -> Instances:
    count = len(boxes)
    return Instances(
        boxes=np.array(boxes, dtype=np.float32).reshape(-1, 4),
        scores=np.linspace(0.9, 0.5, count, dtype=np.float32),
        classes=np.arange(count, dtype=np.int64) % len(CLASSES),
        masks=np.ones((count, 28, 28), dtype=np.float32) if masks else None,
    )


def run(found: Instances, options: PredictOptions = PLAIN) -> Findings:
    return postprocess(source(), (120, 160), found, CLASSES, options)


def test_boxes_are_scaled_to_the_source_and_clipped_to_it() -> None:
    findings = run(instances([[20, 10, 60, 50], [100, 100, 900, 900]]))
    assert findings.detections[0].box == (10, 5, 30, 25)
    assert findings.detections[0].box_area == 400
    assert findings.detections[1].box == (50, 50, 80, 60)


def test_a_box_that_clipping_empties_is_dropped() -> None:
    assert run(instances([[170, 10, 190, 50]])).detections == []


def test_scores_and_boxes_are_not_rounded() -> None:
    found = run(instances([[20.123, 10, 60, 50]])).detections[0]
    assert found.score == float(np.float32(0.9))
    assert found.box[0] == float(np.float32(20.123) * np.float32(0.5))


def test_detections_are_numbered_after_the_threshold() -> None:
    options = PredictOptions(visualization="none", score_threshold=0.7)
    found = run(instances([[0, 0, 40, 40]] * 3), options).detections
    assert [(one.id, one.label) for one in found] == [(0, "LSIL"), (1, "HSIL")]


def test_a_score_at_the_threshold_stays() -> None:
    options = PredictOptions(visualization="none", score_threshold=float(np.float32(0.9)))
    assert len(run(instances([[0, 0, 40, 40]]), options).detections) == 1


def test_what_the_asked_threshold_dropped_is_counted() -> None:
    found = instances([[0, 0, 40, 40], [0, 0, 40, 40], [170, 10, 190, 50], [0, 0, 20, 20]])
    for threshold, count, below in [(None, 3, 0), (0.0, 3, 0), (0.6, 2, 1), (1.0, 0, 3)]:
        options = PredictOptions(visualization="none", score_threshold=threshold)
        findings = run(found, options)  # the third one's box is outside the image
        assert (len(findings.detections), findings.below_threshold) == (count, below)
        assert findings.options == options


def test_a_mask_without_pixels_is_null_as_polygons() -> None:
    found = replace(instances([[20, 10, 60, 50]]), masks=np.zeros((1, 28, 28), np.float32))
    polygon = run(found, PredictOptions(visualization="none", masks="polygon")).detections[0]
    assert (polygon.mask, polygon.mask_area) == (None, 0)
    rle = run(found).detections[0]
    assert coco.decode(rle.mask.model_dump()).sum() == rle.mask_area == 0


def test_the_mask_covers_its_box_in_either_format() -> None:
    found = instances([[20, 10, 60, 50]])
    rle = run(found).detections[0]
    polygon = run(found, PredictOptions(visualization="none", masks="polygon")).detections[0]
    assert isinstance(rle.mask, RleMask)
    assert isinstance(polygon.mask, PolygonMask)
    dense = coco.decode(rle.mask.model_dump())
    assert dense.shape == (60, 80)
    assert dense.sum() == rle.mask_area == polygon.mask_area
    assert dense[5:25, 10:30].all()
    parts = coco.frPyObjects(polygon.mask.polygons, 60, 80)
    np.testing.assert_array_equal(coco.decode(coco.merge(parts)), dense)


def test_without_masks_areas_are_still_given() -> None:
    found = run(instances([[20, 10, 60, 50]]), PredictOptions(visualization="none", masks="none"))
    assert found.detections[0].mask is None
    assert found.detections[0].mask_area == 400


def test_a_model_without_masks_has_no_mask_area() -> None:
    found = run(instances([[20, 10, 60, 50]], masks=False)).detections[0]
    assert (found.mask, found.mask_area) == (None, None)


def test_metrics_count_every_class_and_follow_the_detections() -> None:
    metrics = run(instances([[0, 0, 40, 40], [0, 0, 20, 20]])).metrics
    assert metrics.class_distribution == {"LSIL": 1, "HSIL": 1, "carcinoma": 0}
    assert metrics.scores == [pytest.approx(0.9), pytest.approx(0.5)]
    assert metrics.box_areas == [400, 100]


@pytest.mark.parametrize(("asked", "format_"), [("jpeg", "JPEG"), ("png", "PNG")])
def test_the_picture_has_the_sources_size_in_the_format_asked(asked: str, format_: str) -> None:
    options = PredictOptions.model_validate({"visualization": asked})
    picture = run(instances([[20, 10, 60, 50]]), options).visualization
    assert picture is not None
    opened = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert (opened.format, opened.size) == (format_, (80, 60))


def test_an_image_without_lesions_has_a_picture_and_empty_metrics() -> None:
    findings = run(instances([]), PredictOptions())
    assert findings.detections == []
    assert findings.visualization
    assert findings.metrics.class_distribution == {"LSIL": 0, "HSIL": 0, "carcinoma": 0}
