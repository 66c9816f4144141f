import pytest

from pipeline.bundle.annotated_images import AnnotatedImages
from pipeline.bundle.profile_accuracy import share, to_accuracy
from tests.unit.pipeline.bundle.test_profile import answer

# The only box in `answer` is XYXY 1, 2, 11, 12, of class 1.
BOX = [1.0, 2.0, 10.0, 10.0]
ELSEWHERE = [30.0, 20.0, 10.0, 10.0]


def annotated(*boxes: list[list[float]], class_id: int = 1) -> AnnotatedImages:
    """Return annotated images, each with boxes (XYWH) of one class."""
    document = {
        "images": [{"id": place} for place in range(len(boxes))],
        "categories": [{"id": 0}, {"id": 1}],
        "annotations": [
            {"image_id": place, "category_id": class_id, "bbox": box, "iscrowd": 0}
            for place, of_image in enumerate(boxes)
            for box in of_image
        ],
    }
    return AnnotatedImages(None, [], document, sum(map(len, boxes)), 0, "a" * 64)


def test_lesions_are_right_where_a_box_overlaps():
    answers = [answer(0.9), answer(0.8), answer(), answer(0.7)]
    truth = annotated([BOX], [ELSEWHERE], [BOX], [])
    accuracy = to_accuracy(truth, answers, ["LSIL", "HSIL"], masks=False)
    hsil = accuracy.classes["HSIL"]
    assert (hsil.annotations, hsil.detections) == (3, 3)
    assert hsil.precision.value == hsil.recall.value == 0.3333
    # At one of three lesions found first, precision is 1 up to a recall of a third: 34 of 101.
    assert hsil.box_ap == accuracy.box_ap == pytest.approx(34 / 101, abs=1e-4)
    assert (hsil.mask_ap, accuracy.mask_ap) == (None, None)


def test_class_without_lesions_has_no_figures():
    lsil = to_accuracy(annotated([BOX]), [answer(0.9)], ["LSIL", "HSIL"], masks=False).classes[
        "LSIL"
    ]
    assert (lsil.annotations, lsil.detections) == (0, 0)
    assert (lsil.precision, lsil.recall, lsil.box_ap) == (None, None, None)


@pytest.mark.parametrize(
    ("part", "total", "low", "high"),
    [(0, 10, 0, 0.2775), (5, 10, 0.2366, 0.7634), (81, 100, 0.7222, 0.8749), (10, 10, 0.7225, 1)],
)
def test_interval_is_wilsons(part: int, total: int, low: float, high: float):
    interval = share(part, total)
    assert (interval.low, interval.high) == (low, high)
    assert share(0, 0) is None
