import numpy as np
import pytest

from pipeline.bundle.limit_rule import MIN_IMAGES, derive_limits
from pipeline.bundle.profile import Distribution
from pipeline.bundle.profiling import distribution
from pipeline.image.gradability import REASONS, Limits, reasons_against
from tests.quality import statistics

COUNT = 400


def quality(**columns: object) -> dict[str, Distribution]:
    """Return distributions of images that are all alike, but for the given columns."""
    return {
        name: distribution(list(columns.get(name, [value] * COUNT)))
        for name, value in statistics().model_dump().items()
    }


def test_limit_is_twice_as_far_from_median_as_rarest_hundredth():
    # Even steps: the 1 % quantile is 0.49 below the median of 0.5 times 0.2.
    limits = derive_limits(quality(luma_mean=np.linspace(0.4, 0.6, 401)))
    assert limits["luma_mean"].low == pytest.approx(0.402 - 0.098)
    assert limits["luma_mean"].high == pytest.approx(0.598 + 0.098)


def test_limit_of_sharpness_is_as_far_in_factors():
    limits = derive_limits(quality(sharpness=np.geomspace(0.01, 1, 401)))
    assert limits["sharpness"].high is None
    assert limits["sharpness"].low == pytest.approx(0.1 * (0.01**0.49) ** 2, rel=1e-4)


def test_images_that_are_all_alike_leave_a_margin():
    limits = derive_limits(quality())
    assert limits["luma_mean"] == Limits(low=0.35, high=0.45)
    assert limits["shorter_side"] == Limits(low=320)
    assert limits["bright_share"] == Limits(high=0.021)


def test_limit_beyond_what_a_statistic_can_be_is_left_out():
    limits = derive_limits(quality(vignette=np.linspace(0.5, 0.99, 200)))
    assert "vignette" not in limits
    assert "noise" not in derive_limits(quality(noise=[0] * COUNT))


def test_every_reason_has_a_limit():
    limits = derive_limits(quality())
    assert [limits[name].of(side) for name, side in REASONS].count(None) == 0
    assert reasons_against(statistics(), limits) == []


@pytest.mark.parametrize(("images", "has_limits"), [(MIN_IMAGES - 1, False), (MIN_IMAGES, True)])
def test_few_images_give_no_limits(images: int, has_limits: bool):
    few = {name: distribution([1.0] * images) for name in statistics().model_dump()}
    assert (derive_limits(few) is not None) == has_limits


def test_images_like_the_validated_ones_are_gradable():
    rng = np.random.default_rng(0)
    validated = quality(
        luma_mean=rng.normal(0.4, 0.04, COUNT), sharpness=rng.lognormal(-3.4, 0.5, COUNT)
    )
    limits = derive_limits(validated)
    images = zip(rng.normal(0.4, 0.04, 10_000), rng.lognormal(-3.4, 0.5, 10_000), strict=True)
    beyond = sum(
        bool(reasons_against(statistics(luma_mean=luma, sharpness=sharpness), limits))
        for luma, sharpness in images
    )
    assert beyond == 0
