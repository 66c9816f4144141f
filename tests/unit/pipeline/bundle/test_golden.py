import numpy as np
import pytest
from pycocotools import mask as coco

from pipeline.bundle.golden import compare
from pipeline.errors import BundleError
from pipeline.schemas import Detection, RleMask

THRESHOLD = 0.5


def detection(
    box: tuple[float, float, float, float] = (20, 20, 120, 100),
    *,
    class_id: int = 0,
    score: float = 0.9,
    shrink: int = 0,
) -> Detection:
    """Return a lesion whose mask fills its box except for `shrink` columns."""
    x1, y1, x2, y2 = (round(side) for side in box)
    dense = np.zeros((200, 200), dtype=np.uint8, order="F")
    dense[y1:y2, x1 : x2 - shrink] = 1
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
