"""How far an image is, as the model sees it, from the images that it was validated on."""

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from pipeline.errors import BundleError, PredictionFailed
from pipeline.schema import Schema


class EmbeddingReference(Schema):
    """The embeddings of the validation images, as their principal components.

    mean: (C,) of the embeddings. components: (K, C), unit vectors by falling variance, each with
    its largest value positive. scales: (K,) the standard deviation of the embeddings along each.
    All are of the model in float32. int8_mean: (C,) of the embeddings in int8, which differ from
    those in float32 by nearly the same in every image; None where the bundle has no int8 layers.
    """

    mean: list[float] = Field(min_length=1)
    components: list[list[float]] = Field(min_length=1)
    scales: list[Annotated[float, Field(gt=0)]]
    int8_mean: list[float] | None = None

    @model_validator(mode="after")
    def _check_shapes(self) -> Self:
        if len(self.scales) != len(self.components):
            raise ValueError("there is not one scale for each component")
        if any(len(component) != len(self.mean) for component in self.components):
            raise ValueError("a component is not as long as the mean")
        if self.int8_mean is not None and len(self.int8_mean) != len(self.mean):
            raise ValueError("int8_mean is not as long as the mean")
        return self

    def in_precision(self, precision: str) -> "EmbeddingReference | None":
        """Return the reference for embeddings that are computed in a precision.

        Return None where there is none for int8. Those of bfloat16 are nearly those of float32.
        """
        if precision != "int8":
            return self
        if self.int8_mean is None:
            return None
        return self.model_copy(update={"mean": self.int8_mean})


class EmbeddingDistance:
    """The Mahalanobis distance of an embedding within the components of a reference.

    As for the features of a classifier in Lee et al., "A Simple Unified Framework for Detecting
    Out-of-Distribution Samples and Adversarial Attacks" (2018). reference: None where the bundle's
    profile has none.
    """

    def __init__(self, reference: EmbeddingReference | None) -> None:
        if reference is None:
            self._transform = None
            return
        scales = np.array(reference.scales)
        self._mean = np.array(reference.mean)
        self._transform = np.array(reference.components) / scales[:, None]

    def of(self, embedding: NDArray[np.float32] | None) -> float | None:
        """Return the distance, without a unit; None without a reference, or an embedding.

        embedding: (C,), as in `Instances`. Raise BundleError where the reference is one of another
        model, and PredictionFailed for values that are not finite.
        """
        if self._transform is None or embedding is None:
            return None
        if embedding.shape != self._mean.shape:
            raise BundleError(
                f"the profile's embeddings have {len(self._mean)} values, and the model's "
                f"{len(embedding)}"
            )
        with np.errstate(invalid="ignore"):
            distance = float(np.linalg.norm(self._transform @ (embedding - self._mean)))
        if not np.isfinite(distance):
            raise PredictionFailed("The features of the model are not finite on this image.")
        return distance
