from collections.abc import Sequence
from typing import Self

from pydantic import Field

from pipeline.bundle.profile import Share
from pipeline.bundle.profile_accuracy import share
from pipeline.comparison import ImageComparison
from pipeline.model_info import ModelInfo
from pipeline.schema import Schema


class ImageReport(Schema):
    """The comparison of one image file."""

    image: str = Field(description="the file's path, as it was given")
    disagreement: float = Field(description="the share of its lesions that differ")
    comparison: ImageComparison

    @classmethod
    def of(cls, image: str, comparison: ImageComparison) -> Self:
        return cls(image=image, disagreement=comparison.disagreement, comparison=comparison)

    @property
    def badness(self) -> tuple[float, float]:
        """Return what orders the images from alike to different."""
        return self.disagreement, self.comparison.largest_score_delta


class Summary(Schema):
    """The comparison of all images together."""

    images: int
    alike: Share | None = Field(
        description="of the images, those in which no lesion differs, with a 95 % interval"
    )
    mean_disagreement: float = Field(description="of the images' shares of lesions that differ")
    agreed: int
    borderline: int
    reclassified: int
    added: int
    lost: int
    mean_score_delta: float = Field(description="of the lesions with the same class")
    largest_score_delta: float
    mean_area_delta: float
    largest_area_delta: float

    @classmethod
    def of(cls, images: Sequence[ImageReport]) -> Self:
        comparisons = [image.comparison for image in images]
        pairs = [pair for comparison in comparisons for pair in comparison.agreed]
        scores = [pair.score_delta for pair in pairs]
        areas = [pair.area_delta for pair in pairs]
        return cls(
            images=len(images),
            alike=share(sum(not image.disagreement for image in images), len(images)),
            mean_disagreement=_mean([image.disagreement for image in images]),
            agreed=len(pairs),
            borderline=sum(comparison.borderline for comparison in comparisons),
            reclassified=sum(len(comparison.reclassified) for comparison in comparisons),
            added=sum(len(comparison.added) for comparison in comparisons),
            lost=sum(len(comparison.lost) for comparison in comparisons),
            mean_score_delta=_mean(scores),
            largest_score_delta=max(map(abs, scores), default=0.0),
            mean_area_delta=_mean(areas),
            largest_area_delta=max(map(abs, areas), default=0.0),
        )


class Report(Schema):
    """What `lesionserve compare` tells."""

    a: ModelInfo
    b: ModelInfo
    summary: Summary
    images: list[ImageReport]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
