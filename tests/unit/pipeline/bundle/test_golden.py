import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as coco

from pipeline.bundle.golden import Agreement, compare, read_golden, write_golden
from pipeline.errors import BundleError
from pipeline.schemas import Detection, RleMask

THRESHOLD = 0.5


def detection(
    box: tuple[float, float, float, float] = (20, 20, 120, 100),
    *,
    class_id: int = 0,
    score: float = 0.9,
    shrink: int = 0,
    missing: int = 0,
) -> Detection:
    """Return a lesion whose mask fills its box, less `shrink` columns and `missing` pixels."""
    x1, y1, x2, y2 = (round(side) for side in box)
    dense = np.zeros((200, 200), dtype=np.uint8, order="F")
    dense[y1:y2, x1 : x2 - shrink] = 1
    dense.T.flat[np.flatnonzero(dense.T)[:missing]] = 0
    counts = coco.encode(dense)["counts"].decode("ascii")
    return Detection(
        id=0,
        class_id=class_id,
        label=f"class {class_id}",
        score=score,
        box=box,
        box_area=(box[2] - box[0]) * (box[3] - box[1]),
        mask_area=int(dense.sum()),
        mask=RleMask(size=(200, 200), counts=counts),
    )


def check(expected: list[Detection], actual: list[Detection]) -> None:
    compare("a.png", expected, actual, THRESHOLD)


SMALL = (50.0, 50.0, 58.0, 58.0)
PAIR = [detection((20, 20, 120, 100)), detection((21, 20, 121, 100), score=0.89)]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ([detection()], [detection()]),
        ([detection()], [detection(score=0.915)]),
        ([detection()], [detection((21, 20.5, 121, 101))]),
        ([detection()], [detection(shrink=3)]),
        ([detection(SMALL)], [detection((50.25, 50, 58.25, 58))]),
        ([detection(SMALL)], [detection(SMALL, shrink=1)]),
        ([detection(score=0.51)], []),
        ([], [detection(score=0.51)]),
        (PAIR, PAIR[::-1]),
        ([], []),
    ],
)
def test_compare_accepts_differences_within_tolerances(expected, actual) -> None:
    check(expected, actual)


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ([detection()], [detection(class_id=1)]),
        ([detection()], [detection(score=0.87)]),
        ([detection()], [detection((30, 20, 130, 100))]),
        ([detection()], [detection(shrink=12)]),
        ([detection(SMALL)], [detection(SMALL, shrink=3)]),
        ([detection()], []),
        ([], [detection()]),
        ([detection()], [detection(), detection((150, 150, 190, 190))]),
        ([detection(), detection()], [detection()]),
    ],
)
def test_compare_names_case_and_different_finding(expected, actual) -> None:
    with pytest.raises(BundleError, match=r"golden case a\.png: class"):
        check(expected, actual)


def test_compare_names_nearest_lesion() -> None:
    with pytest.raises(BundleError, match=r"nearest is class 0 with score 0\.870, box IoU 1\.000"):
        check([detection()], [detection(score=0.87)])


def test_compare_rejects_missing_mask() -> None:
    bare = detection().model_copy(update={"mask": None, "mask_area": None})
    check([bare], [bare])
    with pytest.raises(BundleError):
        check([detection()], [bare])


def with_box(lesion: Detection, *box: float) -> Detection:
    """Return the lesion in another box, with the mask as it is."""
    return lesion.model_copy(update={"box": box})


WIDE = with_box(detection(), 0, 0, 100, 100)
AT_THE_EDGE = with_box(detection(), 180, 180, 190, 190)


@pytest.mark.parametrize(
    ("expected", "other", "threshold"),
    [
        (detection(score=0.04), detection(score=0.02), 0.0),
        (detection(SMALL), with_box(detection(SMALL), 51, 50, 58, 58), THRESHOLD),
        (WIDE, with_box(WIDE, 0, 0, 95, 100), THRESHOLD),
        (detection(SMALL), detection(SMALL, missing=8), THRESHOLD),
    ],
    ids=["score", "side", "box IoU", "mask border"],
)
def test_difference_of_exactly_the_tolerance_reproduces(expected, other, threshold):
    compare("a.png", [expected], [other], threshold)


@pytest.mark.parametrize(
    ("expected", "other"),
    [
        (detection(score=0.9), detection(score=0.8799)),
        (detection(SMALL), with_box(detection(SMALL), 51.1, 50, 58, 58)),
        (WIDE, with_box(WIDE, 0, 0, 94.9, 100)),
        # The expected lesion lies within the other, which no part of a union hides.
        (WIDE, with_box(WIDE, 0, 0, 110, 100)),
        (AT_THE_EDGE, with_box(AT_THE_EDGE, 181.5, 180, 191.5, 190)),
        (AT_THE_EDGE, with_box(AT_THE_EDGE, 180, 181.5, 190, 191.5)),
        (detection(SMALL), detection(SMALL, missing=9)),
    ],
    ids=["score", "side", "box IoU", "larger box", "x", "y", "mask border"],
)
def test_difference_beyond_the_tolerance_is_another_finding(expected, other):
    with pytest.raises(BundleError, match="was not found again"):
        check([expected], [other])


def test_lesion_near_the_threshold_may_come_or_go():
    faint = detection(score=THRESHOLD + 0.02)
    check([faint], [])
    check([], [faint])


def test_mismatch_error_names_nearest_lesion():
    far, near = detection((150, 150, 190, 190)), detection((30, 20, 130, 100), score=0.7)
    with pytest.raises(BundleError, match=r"nearest is class 0 with score 0\.700, box IoU 0\.818$"):
        check([detection()], [far, near, far])


def test_no_nearest_lesion_is_named_where_there_is_none():
    with pytest.raises(BundleError, match=r"was not found again$"):
        check([detection()], [])


def test_cases_are_written_sorted_for_each_precision(tmp_path: Path):
    write_golden(tmp_path, {"b.png": [], "a.png": [detection()]})
    write_golden(tmp_path, {"c.png": []}, "int8")
    assert list(read_golden(tmp_path)) == [
        (tmp_path / "a.png", [detection()]),
        (tmp_path / "b.png", []),
    ]
    assert list(read_golden(tmp_path, "bfloat16")) == list(read_golden(tmp_path, "float32"))
    assert list(read_golden(tmp_path, "int8")) == [(tmp_path / "c.png", [])]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "expected.int8.json",
        "expected.json",
    ]
    assert (tmp_path / "expected.int8.json").read_text() == '{\n "c.png": []\n}\n'


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"a.png": [{}]}'])
def test_error_names_expected_json_that_cannot_be_read(tmp_path: Path, content: bytes | None):
    if content is not None:
        (tmp_path / "expected.json").write_bytes(content)
    with pytest.raises(BundleError, match=r"cannot be read from expected\.json"):
        list(read_golden(tmp_path))


def test_equal_lesions_agree_fully() -> None:
    assert compare("a.png", [detection()], [detection()], THRESHOLD) == Agreement(0.0, 1.0, 0.0)
    assert compare("a.png", [], [], THRESHOLD) == Agreement(0.0, 1.0, 0.0)


def test_agreement_holds_largest_difference_of_each_kind() -> None:
    boxes = [(20, 20, 120, 100), (130, 20, 190, 100), (20, 110, 120, 190)]
    expected = [detection(box, class_id=place) for place, box in enumerate(boxes)]
    actual = [
        detection(boxes[0], class_id=0, score=0.885),
        detection((130, 20, 190.75, 100), class_id=1, score=0.905),
        detection(boxes[2], class_id=2, shrink=2),
    ]
    agreement = compare("a.png", expected, actual, THRESHOLD)
    assert agreement.max_score_difference == pytest.approx(0.015)
    assert agreement.min_mask_iou == pytest.approx(0.98)
    assert agreement.max_box_pixels == pytest.approx(0.75)


def test_agreement_without_masks_is_of_boxes_and_scores() -> None:
    bare = detection().model_copy(update={"mask": None, "mask_area": None})
    moved = bare.model_copy(update={"box": (20.5, 20, 120, 100)})
    assert compare("a.png", [bare], [moved], THRESHOLD) == Agreement(0.0, 1.0, 0.5)


def test_lesion_near_threshold_does_not_change_agreement() -> None:
    agreement = compare("a.png", [detection(score=0.51)], [], THRESHOLD)
    assert agreement == Agreement()


def test_worst_of_agreements_has_larger_differences() -> None:
    worst = Agreement(0.01, 0.99, 0.1).worst(Agreement(0.0, 0.97, 0.5))
    assert worst == Agreement(0.01, 0.97, 0.5)


def test_comparison_needs_no_torch() -> None:
    code = "import sys, pipeline.bundle.golden; print({'torch', 'cv2', 'PIL'} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)
    assert process.stdout.strip() == b"set()"
