import pytest
from pydantic import TypeAdapter, ValidationError

from pipeline.image.gradability import REASONS, Assessor, Limits, QualityLimits, reasons_against
from pipeline.schemas import ImageStatistics
from tests.quality import statistics


def test_bundle_without_limits_leaves_image_unassessed() -> None:
    quality = Assessor(None, withhold=True).assess(statistics(luma_mean=0))
    assert (quality.gradable, quality.reasons, quality.withheld) == (None, [], False)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, []),
        ({"luma_mean": 0.2}, []),
        ({"luma_mean": 0.19}, ["too_dark"]),
        ({"luma_mean": 0.71}, ["too_bright"]),
        ({"sharpness": 0.001, "luma_mean": 0.1}, ["too_dark", "out_of_focus"]),
    ],
    ids=["inside", "at the limit", "below", "above", "two"],
)
def test_image_beyond_a_limit_is_ungradable_for_its_reason(
    changes: dict[str, float], reasons: list[str]
) -> None:
    limits = {"luma_mean": Limits(low=0.2, high=0.7), "sharpness": Limits(low=0.01)}
    quality = Assessor(limits).assess(statistics(**changes))
    assert (quality.gradable, quality.reasons) == (not reasons, reasons)


def test_two_limits_of_one_reason_give_it_once() -> None:
    limits = {"red_stops": Limits(high=0.5), "blue_stops": Limits(low=-0.5)}
    assert reasons_against(statistics(red_stops=2, blue_stops=-2), limits) == ["colour_cast"]


@pytest.mark.parametrize("withhold", [False, True])
@pytest.mark.parametrize("luma_mean", [0.1, 0.5])
def test_only_ungradable_images_are_withheld(withhold: bool, luma_mean: float) -> None:
    assessor = Assessor({"luma_mean": Limits(low=0.2)}, withhold)
    quality = assessor.assess(statistics(luma_mean=luma_mean))
    assert quality.withheld == (withhold and luma_mean < 0.2)


def test_every_reason_is_of_a_statistic() -> None:
    assert {name for name, _ in REASONS} <= set(ImageStatistics.model_fields)


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({}, "at least 1 item"),
        ({"luma_mean": {}}, "give low, high or both"),
        ({"luma_mean": {"low": 0.5, "high": 0.4}}, "low is above high"),
        ({"brightness": {"low": 0.5}}, "brightness.low is no limit"),
        ({"sharpness": {"high": 0.5}}, "sharpness.high is no limit"),
        ({"luma_mean": {"lowest": 0.5}}, "Extra inputs are not permitted"),
        ({"luma_mean": {"low": float("nan")}}, "finite number"),
    ],
    ids=["none", "empty", "order", "statistic", "side", "key", "nan"],
)
def test_wrong_limits_are_refused(limits: object, message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(QualityLimits).validate_python(limits)
