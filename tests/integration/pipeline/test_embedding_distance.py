"""Test that the demo's distance tells unlike images from new ones like its validation images."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest

from pipeline.bundle.bundle import Bundle, open_bundle
from pipeline.engines.base import Precision
from pipeline.predictor import LesionPredictor
from pipeline.schemas import PredictOptions
from serve_app.paths import ROOT
from weights.recipe.colposcopy import generate
from weights.recipe.dataset import JPEG_QUALITY

OPTIONS = PredictOptions(masks="none", visualization="none")
# Beyond those of the training and of the validation.
SEEDS = range(2_000_000, 2_000_030)


@pytest.fixture(scope="module")
def demo() -> Bundle:
    return open_bundle(ROOT / "weights/demo")


@pytest.fixture(scope="module")
def pictures() -> list[np.ndarray]:
    return [generate(seed).image for seed in SEEDS]


@cache
def predictor_of(precision: Precision) -> LesionPredictor:
    bundle = open_bundle(ROOT / "weights/demo")
    return bundle.predictor(bundle.load_engine("openvino", "cpu", precision))


def distances(pictures: list[np.ndarray], precision: Precision) -> np.ndarray:
    predictor = predictor_of(precision)
    quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    files = [cv2.imencode(".jpg", picture, quality)[1].tobytes() for picture in pictures]
    return np.array([predictor(file, OPTIONS).embedding_distance for file in files])


@pytest.fixture(scope="module")
def exact(pictures: list[np.ndarray]) -> np.ndarray:
    """The distances of the pictures as they are, in float32."""
    return distances(pictures, "float32")


def share_beyond(bundle: Bundle, distances: np.ndarray) -> float:
    """Return the share of the distances beyond the 99 % quantile of the validation images."""
    limit = bundle.profile.per_image["embedding"]["distance"].quantile(0.99)
    return float((distances > limit).mean())


def darkened(picture: np.ndarray) -> np.ndarray:
    return (picture * 0.5).astype(np.uint8)


def reddened(picture: np.ndarray) -> np.ndarray:
    return np.clip(picture * np.array([0.6, 0.8, 1.3]), 0, 255).astype(np.uint8)


def noisy(picture: np.ndarray) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 40, picture.shape)
    return np.clip(picture + noise, 0, 255).astype(np.uint8)


def page_of_text(picture: np.ndarray) -> np.ndarray:
    page = np.full_like(picture, 235)
    for line, y in enumerate(range(30, len(page), 28)):
        words = f"{line}. {int(picture[y].sum())} letters of a report"
        cv2.putText(page, words, (20, y), cv2.FONT_HERSHEY_SIMPLEX, 0.7, (30, 30, 30), 2)
    return page


def test_new_images_of_the_same_kind_are_within_the_quantile(demo, exact):
    assert share_beyond(demo, exact) <= 0.1


@pytest.mark.parametrize("corrupted", [darkened, reddened, noisy, page_of_text])
def test_corrupted_images_are_beyond_the_quantile(
    demo, pictures, corrupted: Callable[[np.ndarray], np.ndarray]
):
    measured = distances([corrupted(picture) for picture in pictures], "float32")
    assert share_beyond(demo, measured) >= 0.8


def test_blur_moves_images_away_but_most_stay_within_the_quantile(demo, pictures, exact):
    """The features of this level are coarse; `sharpness` is what tells a blur."""
    blurred = distances([cv2.GaussianBlur(picture, (0, 0), 20) for picture in pictures], "float32")
    assert np.median(blurred) > 1.2 * np.median(exact)
    assert share_beyond(demo, blurred) < 0.5


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_lower_precision_changes_distances_little(demo, pictures, exact, precision):
    lower = distances(pictures, precision)
    assert share_beyond(demo, lower) <= 0.1
    assert lower == pytest.approx(exact, rel=0.3)
    assert np.median(lower) == pytest.approx(np.median(exact), rel=0.05)
