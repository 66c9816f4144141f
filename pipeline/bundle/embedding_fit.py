"""The embeddings of the validation images, in the form in which a bundle's profile has them."""

import numpy as np
from numpy.typing import NDArray

from pipeline.embedding import EmbeddingDistance, EmbeddingReference
from pipeline.errors import BundleError
from pipeline.rounding import significant

MAX_COMPONENTS = 16
# A standard deviation from ten images is right to about a quarter.
IMAGES_PER_COMPONENT = 10
MIN_IMAGES = 20
# Into which the images are parted to measure their distances from the others.
PARTS = 10
# Of the embeddings' length: engines differ by less, and what varies by less would be their noise.
_LEAST_SCALE = 1e-4

Floats = NDArray[np.float32]


def fit(embeddings: Floats, in_int8: Floats | None = None) -> EmbeddingReference | None:
    """Return the reference of the embeddings (N, C) of the validation images.

    in_int8: those of the same images in int8, for a bundle with such layers.
    It has a component for each ten images, at most 16. Return None for fewer than 20 images, and
    for images that are all alike. Raise BundleError for values that are not finite.
    """
    given = [embeddings] if in_int8 is None else [embeddings, in_int8]
    if not all(np.isfinite(values).all() for values in given):
        raise BundleError("the features of the model are not finite on a validation image")
    reference = _fit(embeddings, len(embeddings))
    if reference is None or in_int8 is None:
        return reference
    int8_mean = _rounded(in_int8.mean(axis=0, dtype=np.float64))
    return reference.model_copy(update={"int8_mean": int8_mean})


def held_out_distances(embeddings: Floats) -> list[float | None]:
    """Return the distance of each of the embeddings (N, C) from a reference without it.

    An image is nearer to a reference that it belongs to than a new image would be. So the images
    are parted in ten, each of images that follow one another, which are often of one examination,
    and the distances in a part are those from a reference of the other nine. They are None where
    there is no reference.
    """
    distances: list[float | None] = []
    for part in np.array_split(np.arange(len(embeddings)), PARTS):
        others = np.delete(embeddings, part, axis=0)
        distance = EmbeddingDistance(_fit(others, len(embeddings)))
        distances += [distance.of(embedding) for embedding in embeddings[part]]
    return distances


def _fit(embeddings: Floats, images: int) -> EmbeddingReference | None:
    """Return the reference of the embeddings, with the components that so many images allow."""
    if images < MIN_IMAGES:
        return None
    most = min(MAX_COMPONENTS, images // IMAGES_PER_COMPONENT)
    values = embeddings.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    # A sum in one order, whatever the number of threads.
    covariance = np.einsum("ni,nj->ij", centred, centred) / (len(values) - 1)
    variances, vectors = np.linalg.eigh(covariance)
    scales = np.sqrt(variances.clip(min=0)[::-1][:most])
    is_real = scales > _LEAST_SCALE * np.sqrt(np.square(values).sum(axis=1).mean())
    if not is_real.any():
        return None
    components = vectors.T[::-1][:most][is_real]
    largest = np.abs(components).argmax(axis=1)
    components *= np.sign(components[np.arange(len(components)), largest])[:, None]
    return EmbeddingReference(
        mean=_rounded(mean),
        components=[_rounded(component) for component in components],
        scales=_rounded(scales[is_real]),
    )


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """Return the values with six digits, which is what float32 holds."""
    return [significant(value) for value in values.tolist()]
