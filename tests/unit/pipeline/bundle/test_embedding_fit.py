import numpy as np
import pytest

from pipeline.bundle.embedding_fit import fit, held_out_distances
from pipeline.embedding import EmbeddingDistance
from pipeline.errors import BundleError


def embeddings(images: int, channels: int = 64, seed: int = 0) -> np.ndarray:
    """Return embeddings around 3 that vary along each axis less than along the one before."""
    noise = np.random.default_rng(seed).normal(size=(images, channels))
    return (3 + noise * 0.9 ** np.arange(channels)).astype(np.float32)


@pytest.mark.parametrize(
    ("images", "components"), [(19, None), (20, 2), (99, 9), (160, 16), (500, 16)]
)
def test_each_component_has_ten_images(images: int, components: int | None):
    reference = fit(embeddings(images))
    assert (reference and len(reference.components)) == components


def test_all_components_give_the_distance_by_the_inverse_covariance():
    values = embeddings(300, channels=8)
    reference = fit(values)
    inverse = np.linalg.inv(np.cov(values.T))
    difference = values[7] - values.mean(axis=0)
    expected = np.sqrt(difference @ inverse @ difference)
    assert EmbeddingDistance(reference).of(values[7]) == pytest.approx(expected, rel=1e-3)


def test_components_are_unit_vectors_by_falling_variance():
    reference = fit(embeddings(200))
    components = np.array(reference.components)
    assert components @ components.T == pytest.approx(np.eye(16), abs=1e-5)
    assert reference.scales == sorted(reference.scales, reverse=True)
    assert all(max(component, key=abs) > 0 for component in reference.components)


def test_same_images_give_same_numbers_and_mirrored_ones_same_components():
    values = embeddings(200)
    assert fit(values) == fit(values.copy())
    assert fit(-values).components == fit(values).components


def test_direction_in_which_only_rounding_varies_is_left_out():
    values = embeddings(200, channels=4)
    values[:, 3] = 3 * (1 + 1e-7 * values[:, 0])
    assert len(fit(values).components) == 3


def test_images_that_are_all_alike_give_no_reference():
    values = np.full((40, 8), 0.7, np.float32)
    assert fit(values) is None
    assert held_out_distances(values) == [None] * 40


def test_few_images_have_no_distances():
    assert held_out_distances(embeddings(19)) == [None] * 19


def test_values_that_are_not_finite_are_refused():
    values = embeddings(40)
    values[3, 3] = np.nan
    for given in ((values,), (embeddings(40), values)):
        with pytest.raises(BundleError, match="not finite"):
            fit(*given)


def test_offset_of_int8_changes_no_distance():
    values = embeddings(40)
    reference = fit(values, values + 0.5)
    assert reference.model_copy(update={"int8_mean": None}) == fit(values)
    distance = EmbeddingDistance(reference.in_precision("int8")).of(values[7] + np.float32(0.5))
    assert distance == pytest.approx(EmbeddingDistance(reference).of(values[7]), rel=1e-3)


def test_held_out_distances_are_those_of_new_images():
    values, new = embeddings(200, channels=16), embeddings(4000, channels=16, seed=1)
    distance = EmbeddingDistance(fit(values))
    own = np.mean([distance.of(row) for row in values])
    held_out = np.mean(held_out_distances(values))
    of_new = np.mean([distance.of(row) for row in new])
    assert held_out == pytest.approx(of_new, rel=0.02)
    assert own < 0.97 * of_new


def test_images_that_follow_one_another_are_held_out_together():
    values = embeddings(200)
    values[40:60, 5] += 50  # an examination that is unlike the others
    distances = held_out_distances(values)
    assert min(distances[40:60]) > 5 * max(distances[:40] + distances[60:])
