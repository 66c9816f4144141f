import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.comparison import ImageComparison, compare
from pipeline.schemas import (
    Detection,
    ImageInfo,
    Metrics,
    ModelInfo,
    Prediction,
    PredictOptions,
    Quality,
)
from tests.quality import statistics

CLASSES = ("LSIL", "HSIL")
THRESHOLD = 0.5
LEFT, RIGHT = (0.0, 0.0, 10.0, 10.0), (50.0, 0.0, 60.0, 10.0)
Lesion = tuple[str, float, tuple[float, float, float, float]]


def prediction(*lesions: Lesion, asked: float | None = None, quality=None) -> Prediction:
    detections = [
        Detection(
            id=number,
            class_id=CLASSES.index(label),
            label=label,
            score=score,
            box=box,
            box_area=(box[2] - box[0]) * (box[3] - box[1]),
            mask_area=None,
            mask=None,
        )
        for number, (label, score, box) in enumerate(sorted(lesions, key=lambda lesion: -lesion[1]))
    ]
    return Prediction(
        request_id="a",
        correlation_id=None,
        model=ModelInfo(
            name="m",
            version="1",
            sha256="",
            bundle_sha256="",
            engine="fake",
            precision="float32",
        ),
        options=PredictOptions(visualization="none", score_threshold=asked),
        image=ImageInfo(width=100, height=100, format="PNG"),
        detections=detections,
        below_threshold=0,
        metrics=Metrics.of(detections, CLASSES),
        visualization=None,
        timings_ms={},
        quality=quality,
    )


def compared(
    first: list[Lesion],
    second: list[Lesion],
    thresholds: tuple[float, float] = (THRESHOLD, THRESHOLD),
    asked: float | None = None,
) -> ImageComparison:
    return compare(prediction(*first, asked=asked), prediction(*second, asked=asked), thresholds)


def counts(comparison: ImageComparison) -> tuple[int, int, int, int, int]:
    return (
        len(comparison.agreed),
        len(comparison.reclassified),
        len(comparison.added),
        len(comparison.lost),
        comparison.borderline,
    )


def test_same_lesions_agree():
    lesions = [("LSIL", 0.9, LEFT), ("HSIL", 0.8, RIGHT)]
    comparison = compared(lesions, lesions)
    assert counts(comparison) == (2, 0, 0, 0, 0)
    assert comparison.disagreement == 0
    assert comparison.largest_score_delta == 0


def test_images_without_lesions_agree():
    comparison = compared([], [])
    assert (comparison.lesions, comparison.disagreement) == (0, 0)


def test_moved_score_and_area_are_kept_as_deltas():
    comparison = compared([("LSIL", 0.9, LEFT)], [("LSIL", 0.8, (0.0, 0.0, 10.0, 8.0))])
    (pair,) = comparison.agreed
    assert pair.iou == pytest.approx(0.8)
    assert pair.score_delta == pytest.approx(-0.1)
    assert pair.area_delta == pytest.approx(-0.2)
    assert comparison.largest_score_delta == pytest.approx(0.1)


def test_area_is_that_of_masks_where_both_have_one():
    first = prediction(("LSIL", 0.9, LEFT))
    masked = [lesion.model_copy(update={"mask_area": 50}) for lesion in first.detections]
    larger = [lesion.model_copy(update={"mask_area": 60}) for lesion in first.detections]
    comparison = compare(
        first.model_copy(update={"detections": masked}),
        first.model_copy(update={"detections": larger}),
        (THRESHOLD, THRESHOLD),
    )
    assert comparison.agreed[0].area_delta == pytest.approx(0.2)


def test_lesions_that_overlap_too_little_are_lost_and_added():
    comparison = compared([("LSIL", 0.9, LEFT)], [("LSIL", 0.9, (6.0, 0.0, 16.0, 10.0))])
    assert counts(comparison) == (0, 0, 1, 1, 0)
    assert comparison.disagreement == 1


def test_lesion_of_other_class_is_reclassified():
    comparison = compared(
        [("LSIL", 0.9, LEFT), ("HSIL", 0.9, RIGHT)], [("HSIL", 0.9, LEFT), ("HSIL", 0.9, RIGHT)]
    )
    assert counts(comparison) == (1, 1, 0, 0, 0)
    (pair,) = comparison.reclassified
    assert (pair.label, pair.second_label) == ("LSIL", "HSIL")
    assert comparison.disagreement == 0.5


def test_same_class_is_matched_before_a_better_overlap():
    shifted = (1.0, 0.0, 11.0, 10.0)
    comparison = compared(
        [("LSIL", 0.9, LEFT), ("HSIL", 0.8, shifted)],
        [("HSIL", 0.8, LEFT), ("LSIL", 0.7, shifted)],
    )
    assert counts(comparison) == (2, 0, 0, 0, 0)


def test_lesion_is_matched_once():
    comparison = compared([("LSIL", 0.9, LEFT)], [("LSIL", 0.9, LEFT), ("LSIL", 0.8, LEFT)])
    assert counts(comparison) == (1, 0, 1, 0, 0)
    assert comparison.added[0].score == 0.8


@pytest.mark.parametrize(
    ("thresholds", "asked", "score", "is_borderline"),
    [
        ((0.5, 0.5), None, 0.515, True),
        ((0.5, 0.5), None, 0.53, False),
        ((0.5, 0.7), None, 0.715, True),  # the second model may have it just below its own
        ((0.5, 0.7), None, 0.6, False),  # its higher threshold leaves the lesion out
        ((0.7, 0.5), None, 0.715, False),  # it would report the lesion, and does not
        ((0.5, 0.5), 0.8, 0.815, True),
        ((0.5, 0.5), 0.8, 0.83, False),
    ],
    ids=[
        "low",
        "high",
        "below_second",
        "far_below_second",
        "above_second",
        "asked_low",
        "asked_high",
    ],
)
def test_lone_lesion_near_other_threshold_is_borderline(thresholds, asked, score, is_borderline):
    lesions = [("LSIL", score, LEFT), ("HSIL", 0.95, RIGHT)]
    lost = compared(lesions, lesions[1:], thresholds, asked)
    added = compared(lesions[1:], lesions, thresholds[::-1], asked)
    for comparison in (lost, added):
        assert comparison.borderline == is_borderline
        assert comparison.disagreement == (0 if is_borderline else 0.5)
        assert comparison.lesions == 2


def test_lesion_whose_class_turns_at_threshold_is_borderline():
    comparison = compared([("LSIL", 0.51, LEFT)], [("HSIL", 0.51, LEFT)])
    assert counts(comparison) == (0, 0, 0, 0, 1)
    comparison = compared([("LSIL", 0.51, LEFT)], [("HSIL", 0.6, LEFT)])
    assert counts(comparison) == (0, 1, 0, 0, 0)


def test_withheld_answer_of_one_model_disagrees():
    quality = Quality(statistics=statistics(), gradable=False, reasons=["too_dark"], withheld=True)
    withheld = prediction(quality=quality)
    both = (THRESHOLD, THRESHOLD)
    assert compare(prediction(), withheld, both).disagreement == 1
    assert compare(withheld, withheld, both).disagreement == 0


def test_answers_of_other_options_are_not_compared():
    with pytest.raises(AssertionError):
        compare(prediction(), prediction(asked=0.9), (THRESHOLD, THRESHOLD))


sides = st.integers(0, 40)
lesion_lists = st.lists(
    st.tuples(
        st.sampled_from(CLASSES),
        st.floats(0.5, 1.0),
        st.tuples(sides, sides).map(lambda at: (at[0], at[1], at[0] + 20.0, at[1] + 20.0)),
    ),
    max_size=6,
)


@given(lesion_lists, lesion_lists)
def test_each_lesion_counts_once(first, second):
    comparison = compared(first, second)
    pairs = len(comparison.agreed) + len(comparison.reclassified)
    assert 0 <= comparison.disagreement <= 1
    alone = len(comparison.added) + len(comparison.lost)
    # A borderline pair is two lesions, a borderline lone one is one.
    assert (
        comparison.borderline
        <= len(first) + len(second) - 2 * pairs - alone
        <= 2 * comparison.borderline
    )


@given(lesion_lists)
def test_scores_within_rounding_agree(lesions):
    moved = [(label, min(1.0, score + 0.01), box) for label, score, box in lesions]
    kept = [lesion for lesion in lesions if lesion[1] >= 0.51]
    assert compared(kept, moved).lost == []
    assert compared(kept, moved).added == []
