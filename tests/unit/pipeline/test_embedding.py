import numpy as np
import pytest

from pipeline.embedding import EmbeddingDistance, EmbeddingReference
from pipeline.errors import BundleError, PredictionFailed

REFERENCE = EmbeddingReference(
    mean=[1.0, 2.0, 3.0], components=[[1.0, 0.0, 0.0], [0.0, 0.6, 0.8]], scales=[2.0, 0.5]
)


def vector(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


@pytest.mark.parametrize(
    ("embedding", "distance"),
    [
        ((1, 2, 3), 0),
        ((5, 2, 3), 2),
        ((1, 2.6, 3.8), 2),
        ((7, 2.6, 3.8), 13**0.5),
        ((1, 2.8, 2.4), 0),
    ],
    ids=["mean", "first", "second", "both", "across"],
)
def test_distance_is_measured_in_scales_along_the_components(embedding, distance):
    assert EmbeddingDistance(REFERENCE).of(vector(*embedding)) == pytest.approx(distance, abs=1e-6)


def test_nothing_is_measured_without_reference_or_embedding():
    assert EmbeddingDistance(None).of(vector(1, 2, 3)) is None
    assert EmbeddingDistance(REFERENCE).of(None) is None


def test_distance_in_int8_is_measured_from_the_mean_in_int8():
    assert REFERENCE.in_precision("int8") is None
    assert REFERENCE.in_precision("bfloat16") == REFERENCE
    shifted = REFERENCE.model_copy(update={"int8_mean": [5.0, 2.0, 3.0]})
    assert EmbeddingDistance(shifted.in_precision("float32")).of(vector(5, 2, 3)) == 2
    assert EmbeddingDistance(shifted.in_precision("int8")).of(vector(5, 2, 3)) == 0


def test_reference_of_another_model_is_refused():
    with pytest.raises(BundleError, match=r"have 3 values, and the model's 2"):
        EmbeddingDistance(REFERENCE).of(vector(1, 2))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_features_that_are_no_numbers_are_an_error(value):
    with pytest.raises(PredictionFailed, match="not finite"):
        EmbeddingDistance(REFERENCE).of(vector(1, value, 3))
