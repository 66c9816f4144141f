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


def run(model_output: Instances, options: PredictOptions = PLAIN) -> Findings:
    return postprocess(source(), (120, 160), model_output, CLASSES, options)


def test_boxes_are_scaled_and_clipped_to_source_image() -> None:
    findings = run(instances([[20, 10, 60, 50], [100, 100, 900, 900]]))
    assert findings.detections[0].box == (10, 5, 30, 25)
    assert findings.detections[0].box_area == 400
    assert findings.detections[1].box == (50, 50, 80, 60)


def test_drops_box_that_is_empty_after_clipping() -> None:
    assert run(instances([[170, 10, 190, 50]])).detections == []


def test_scores_and_boxes_are_not_rounded() -> None:
    detection = run(instances([[20.123, 10, 60, 50]])).detections[0]
    assert detection.score == float(np.float32(0.9))
    assert detection.box[0] == float(np.float32(20.123) * np.float32(0.5))


def test_detections_are_numbered_after_thresholding() -> None:
    options = PredictOptions(visualization="none", score_threshold=0.7)
    detections = run(instances([[0, 0, 40, 40]] * 3), options).detections
    assert [(detection.id, detection.label) for detection in detections] == [
        (0, "LSIL"),
        (1, "HSIL"),
    ]


def test_keeps_detection_with_score_at_threshold() -> None:
    options = PredictOptions(visualization="none", score_threshold=float(np.float32(0.9)))
    assert len(run(instances([[0, 0, 40, 40]]), options).detections) == 1


def test_below_threshold_counts_dropped_detections() -> None:
    model_output = instances([[0, 0, 40, 40], [0, 0, 40, 40], [170, 10, 190, 50], [0, 0, 20, 20]])
    for threshold, count, below in [(None, 3, 0), (0.0, 3, 0), (0.6, 2, 1), (1.0, 0, 3)]:
        options = PredictOptions(visualization="none", score_threshold=threshold)
        findings = run(model_output, options)  # the third box is outside the image
        assert (len(findings.detections), findings.below_threshold) == (count, below)
        assert findings.options == options


def test_polygon_of_mask_without_pixels_is_null() -> None:
    model_output = replace(instances([[20, 10, 60, 50]]), masks=np.zeros((1, 28, 28), np.float32))
    polygon = run(model_output, PredictOptions(visualization="none", masks="polygon")).detections[0]
    assert (polygon.mask, polygon.mask_area) == (None, 0)
    rle = run(model_output).detections[0]
    assert coco.decode(rle.mask.model_dump()).sum() == rle.mask_area == 0


def test_rle_and_polygon_masks_hold_the_same_pixels() -> None:
    model_output = instances([[20, 10, 60, 50]])
    rle = run(model_output).detections[0]
    polygon = run(model_output, PredictOptions(visualization="none", masks="polygon")).detections[0]
    assert isinstance(rle.mask, RleMask)
    assert isinstance(polygon.mask, PolygonMask)
    dense = coco.decode(rle.mask.model_dump())
    assert dense.shape == (60, 80)
    assert dense.sum() == rle.mask_area == polygon.mask_area
    assert dense[5:25, 10:30].all()
    parts = coco.frPyObjects(polygon.mask.polygons, 60, 80)
    np.testing.assert_array_equal(coco.decode(coco.merge(parts)), dense)


def test_mask_area_is_given_without_mask() -> None:
    findings = run(
        instances([[20, 10, 60, 50]]), PredictOptions(visualization="none", masks="none")
    )
    assert findings.detections[0].mask is None
    assert findings.detections[0].mask_area == 400


def test_mask_area_is_null_for_model_without_masks() -> None:
    detection = run(instances([[20, 10, 60, 50]], masks=False)).detections[0]
    assert (detection.mask, detection.mask_area) == (None, None)


def test_metrics_count_every_class() -> None:
    metrics = run(instances([[0, 0, 40, 40], [0, 0, 20, 20]])).metrics
    assert metrics.class_distribution == {"LSIL": 1, "HSIL": 1, "carcinoma": 0}
    assert metrics.scores == [pytest.approx(0.9), pytest.approx(0.5)]
    assert metrics.box_areas == [400, 100]


@pytest.mark.parametrize(("encoding", "format_"), [("jpeg", "JPEG"), ("png", "PNG")])
def test_visualization_has_source_size_and_requested_format(encoding: str, format_: str) -> None:
    options = PredictOptions.model_validate({"visualization": encoding})
    picture = run(instances([[20, 10, 60, 50]]), options).visualization
    assert picture is not None
    opened = Image.open(io.BytesIO(base64.b64decode(picture)))
    assert (opened.format, opened.size) == (format_, (80, 60))


def test_image_without_lesions_has_visualization() -> None:
    findings = run(instances([]), PredictOptions())
    assert findings.detections == []
    assert findings.visualization
    assert findings.metrics.class_distribution == {"LSIL": 0, "HSIL": 0, "carcinoma": 0}
