from typing import Any

import pytest

from cluster.cli.kept_answer import KeptAnswer
from cluster.cli.replay_lines import report_lines
from cluster.cli.replay_report import ReplayReport, Verdict, of_another_image, report_on
from pipeline.schemas import ImageInfo, Prediction, PredictOptions
from tests.answers import answer, lesion, model, quality
from tests.fakes import png

THEN = [lesion(0), lesion(1, at=60, score=0.7, class_id=0)]


def replayed(then: Prediction, now: Prediction, *, image: bool | None = True) -> ReplayReport:
    return report_on(KeptAnswer.of(then), now, is_same_image=image)


def record_of(prediction: Prediction, **changes: Any) -> KeptAnswer:
    """Return what a record keeps of the answer: counts only."""
    whole = KeptAnswer.of(prediction)
    bins = [min(int(score * 10), 9) for score in prediction.metrics.scores]
    values = {
        "request_id": whole.request_id,
        "image": whole.image,
        "model": whole.model,
        "options": whole.options,
        "is_withheld": False,
        "counts": whole.counts,
        "score_counts": [bins.count(number) for number in range(10)],
        "below_threshold": 0,
    }
    return KeptAnswer(**(values | changes))


def test_equal_answer_is_same_to_last_digit():
    report = replayed(answer(THEN), answer(THEN))
    assert (report.verdict, report.lesions, report.counts) == (Verdict.SAME, [], [])
    assert "last digit" in report.reason
    assert not any(fact.differs for fact in report.facts)


def test_lesions_within_tolerances_are_same_and_their_differences_are_told():
    now = [lesion(0, score=0.895), lesion(1, at=60, score=0.705, class_id=0)]
    report = replayed(answer(THEN), answer(now))
    assert (report.verdict, report.lesions) == (Verdict.SAME, [])
    assert "tolerances" in report.reason
    assert report.largest["score"] == pytest.approx(0.005)
    assert "largest differences: 0.005 of a score" in list(report_lines(report))[-1]


def test_order_of_close_scores_does_not_matter():
    then = [lesion(0, score=0.801), lesion(1, at=60, score=0.8)]
    now = [lesion(0, at=60, score=0.8005), lesion(1, score=0.8001)]
    assert replayed(answer(then), answer(now)).verdict == Verdict.SAME


@pytest.mark.parametrize(
    ("now", "parts"),
    [
        ([lesion(0, score=0.87), THEN[1]], ["score"]),
        ([lesion(0, at=12), THEN[1]], ["box", "mask"]),
        ([lesion(0, class_id=0), THEN[1]], ["class"]),
    ],
    ids=["score", "box", "class"],
)
def test_lesion_beyond_tolerance_is_different_and_named(now, parts):
    report = replayed(answer(THEN), answer(now))
    assert report.verdict == Verdict.DIFFERENT
    (difference,) = report.lesions
    assert (difference.then.id, difference.parts) == (0, parts)


@pytest.mark.parametrize(
    ("then", "now", "ids"),
    [(THEN, THEN[:1], (1, None)), (THEN[:1], THEN, (None, 1)), (THEN[:1], [], (0, None))],
    ids=["lost", "new", "the only one lost"],
)
def test_lesion_on_one_side_alone_is_different(then, now, ids):
    report = replayed(answer(then), answer(now))
    assert report.verdict == Verdict.DIFFERENT
    (difference,) = report.lesions
    sides = (difference.then, difference.now)
    assert tuple(None if side is None else side.id for side in sides) == ids


def test_lesions_that_threshold_drops_are_counted():
    options = PredictOptions(visualization="none", score_threshold=0.6)
    then = answer(THEN, options=options, below_threshold=2)
    report = replayed(then, answer(THEN, options=options, below_threshold=1))
    assert report.verdict == Verdict.DIFFERENT
    assert [(fact.name, fact.then, fact.now) for fact in report.counts] == [
        ("below_threshold", 2, 1)
    ]


def test_mask_area_is_compared_where_masks_were_not_asked_for():
    options = PredictOptions(visualization="none", masks="none")
    bare = lesion().model_copy(update={"mask": None})
    smaller = bare.model_copy(update={"mask_area": 300})
    same = replayed(answer([bare], options=options), answer([bare], options=options))
    other = replayed(answer([bare], options=options), answer([smaller], options=options))
    assert (same.verdict, other.verdict) == (Verdict.SAME, Verdict.DIFFERENT)
    assert other.lesions[0].parts == ["mask"]


def test_facts_that_differ_are_named_though_answer_is_same():
    info = model(
        version="2",
        bundle_sha256="e" * 64,
        engine="portable",
        precision="int8",
        score_threshold=0.6,
        software={"numpy": "2.4.0", "torch": "2.10"},
    )
    report = replayed(answer(THEN), answer(THEN, info=info))
    assert report.verdict == Verdict.SAME
    assert {fact.name: (fact.then, fact.now) for fact in report.facts if fact.differs} == {
        "version": ("1", "2"),
        "bundle_sha256": ("d" * 64, "e" * 64),
        "engine": ("openvino", "portable"),
        "precision": ("float32", "int8"),
        "score_threshold": (0.5, 0.6),
        "openvino": ("2026.2.0", "not used"),
        "torch": ("not used", "2.10"),
    }
    assert f"bundle sha256: {'d' * 12} then, {'e' * 12} now" in list(report_lines(report))


def test_older_answer_without_facts_says_that_they_are_not_known():
    old = model(score_threshold=None, software=None)
    lines = list(report_lines(replayed(answer(THEN, info=old), answer(THEN))))
    assert "numpy: 2.4.0 now; what it was then is not known" in lines
    assert "score threshold: 0.5 now; what it was then is not known" in lines


def test_difference_cannot_be_told_where_image_is_not_known():
    report = replayed(answer(THEN, sha256=None), answer([]), image=None)
    assert report.verdict == Verdict.UNKNOWN
    same = replayed(answer(THEN, sha256=None), answer(THEN), image=None)
    assert (same.verdict, same.is_same_image) == (Verdict.SAME, None)


def test_another_image_is_different():
    report = of_another_image(KeptAnswer.of(answer(THEN)))
    assert (report.verdict, report.is_same_image) == (Verdict.DIFFERENT, False)
    assert list(report_lines(report))[1] == "image: another one"


def test_withheld_answer_is_compared_only_with_withheld_one():
    withheld = answer(quality=quality("glare", withheld=True))
    assert replayed(withheld, withheld).verdict == Verdict.SAME
    assert replayed(withheld, answer(THEN)).verdict == Verdict.UNKNOWN
    assert replayed(answer(THEN), withheld).verdict == Verdict.DIFFERENT


def test_gradable_image_that_is_none_any_more_is_different():
    report = replayed(answer(THEN, quality=quality()), answer(THEN, quality=quality("glare")))
    assert [(fact.name, fact.then, fact.now) for fact in report.counts] == [
        ("gradable", True, False)
    ]


def test_record_is_same_where_its_counts_are():
    report = report_on(record_of(answer(THEN)), answer(THEN), is_same_image=True)
    assert (report.verdict, report.largest) == (Verdict.SAME, None)
    assert "holds no more" in report.reason


def test_record_differs_by_class_though_number_of_lesions_is_same():
    now = answer([THEN[0], lesion(1, at=60, score=0.7)])
    report = report_on(record_of(answer(THEN)), now, is_same_image=True)
    assert report.verdict == Verdict.DIFFERENT
    assert [fact.name for fact in report.counts] == ["lesions of HSIL", "lesions of LSIL"]


@pytest.mark.parametrize(
    ("score", "verdict"),
    [(0.7, Verdict.SAME), (0.69, Verdict.SAME), (0.66, Verdict.DIFFERENT)],
)
def test_record_compares_scores_by_tenths_with_tolerance(score, verdict):
    then = answer([lesion(0, score=0.701)])
    report = report_on(record_of(then), answer([lesion(0, score=score)]), is_same_image=True)
    assert report.verdict == verdict


@pytest.mark.parametrize("sha256", ["a" * 64, None])
def test_image_is_known_by_digest_or_not_at_all(sha256):
    kept = record_of(
        answer(THEN), image=ImageInfo(width=64, height=48, format="PNG", sha256=sha256)
    )
    data = png(width=64, height=48)
    assert kept.is_of(data) is (None if sha256 is None else False)
    assert kept.is_of(png(width=48, height=48)) is False
