"""The reference profile of a bundle: what the model's validation images were like, in numbers only.

A statistic that a later version adds is one more name in `per_image`, and needs no new format.
"""

from itertools import pairwise
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, ValidationError, model_validator

from pipeline.bundle.manifest import summary
from pipeline.embedding import EmbeddingReference
from pipeline.errors import BundleError
from pipeline.image.gradability import QualityLimits
from pipeline.model_info import LabelTranslations
from pipeline.schema import Label, Name, Schema

PROFILE_FILE = "profile.json"
# The shares of the values that lie at or below a distribution's quantiles.
LEVELS = tuple(level / 100 for level in range(101))


def _ordered(values: list[float]) -> list[float]:
    if any(low > high for low, high in pairwise(values)):
        raise ValueError("the values do not rise")
    return values


Rising = Annotated[list[float], AfterValidator(_ordered)]


class Histogram(Schema):
    """How many values lie in each bin: at or above an edge, and below the next.

    The last bin holds its upper edge, too.
    """

    edges: Rising = Field(min_length=2)
    counts: list[Annotated[int, Field(ge=0)]]

    @model_validator(mode="after")
    def _check_bins(self) -> Self:
        if len(self.counts) != len(self.edges) - 1:
            raise ValueError("the bins are not one fewer than the edges")
        return self


class Distribution(Schema):
    """The distribution of a statistic's values over the validation images, or over their lesions.

    quantiles: at the shares LEVELS, from the lowest value to the highest, interpolated; empty
    without values. histogram: where values repeat, or fixed bins help to compare.
    """

    count: int = Field(ge=0)
    quantiles: Rising
    histogram: Histogram | None = None

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if len(self.quantiles) != (len(LEVELS) if self.count else 0):
            raise ValueError(f"{len(LEVELS)} quantiles are needed, and none without values")
        if self.histogram is not None and sum(self.histogram.counts) != self.count:
            raise ValueError("the histogram holds another number of values")
        return self

    def quantile(self, share: float) -> float:
        """Return the quantile at one of LEVELS."""
        return self.quantiles[LEVELS.index(share)]


class Share(Schema):
    """A share of `total`, with its 95 % Wilson interval."""

    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)
    total: int = Field(ge=1)


class ClassAccuracy(Schema):
    """How well the lesions of a class were found on the annotated validation images.

    precision, recall: of the lesions that the model reports at its own threshold, where a box with
    an IoU of at least 0.5 is right; None without a lesion reported, or annotated. The intervals
    take lesions for independent, which those of one image are not.
    box_ap, mask_ap: COCO's AP of those lesions; None without an annotation, or without masks.
    """

    annotations: int = Field(ge=0)
    detections: int = Field(ge=0)
    precision: Share | None
    recall: Share | None
    box_ap: float | None = Field(ge=0, le=1)
    mask_ap: float | None = Field(ge=0, le=1)


class ProfileAccuracy(Schema):
    """The accuracy on the annotated validation images. box_ap, mask_ap: the means of the classes.

    annotations_sha256: of the annotations' file.
    """

    annotations_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    box_ap: float = Field(ge=0, le=1)
    mask_ap: float | None = Field(ge=0, le=1)
    classes: dict[Label, ClassAccuracy]


class ReferenceProfile(Schema):
    """The statistics of the validation images, and the limits of a gradable image.

    images: how many there were. engine, precision: what found the lesions. score_threshold: the
    model's own, above which they are.
    per_image: by group and name, as `pipeline.observation.observe` gives them.
    per_lesion: `score`, `box_share` and `mask_share` (of the image's area).
    limits: None where there are none, so that no image is assessed. limits_source: the rule that
    gave them, or that they were given. embedding: what the distance of an image's embedding is
    measured from; None where the model has no embeddings, or the images are too few or all alike.
    Format 1 is the same without it.
    """

    format: Literal[1, 2] = 2
    images: int = Field(ge=1)
    engine: Name
    precision: Name
    score_threshold: float = Field(ge=0, le=1)
    per_image: dict[Name, dict[Label, Distribution]]
    per_lesion: dict[Name, Distribution]
    limits: QualityLimits | None
    limits_source: str = Field(max_length=500)
    accuracy: ProfileAccuracy | None
    embedding: EmbeddingReference | None = None

    @model_validator(mode="after")
    def _check_format(self) -> Self:
        if self.format == 1 and self.embedding is not None:
            raise ValueError("format 1 has no embedding")
        return self

    def write(self, folder: Path) -> None:
        text = self.model_dump_json()
        (folder / PROFILE_FILE).write_text(text + "\n", encoding="utf-8")


class ProfileReport(Schema):
    """The profile of a loaded model, for a caller who compares its answers with it.

    profile: None where the bundle has none. labels: the translations of its class names.
    class_names: in the order of the class ids, the least severe first.
    """

    bundle_sha256: str
    profile: ReferenceProfile | None
    labels: LabelTranslations | None = None
    class_names: tuple[str, ...] | None = None


def read_profile(path: Path) -> ReferenceProfile:
    """Return the profile in the file. Raise BundleError, which says what is wrong."""
    try:
        return ReferenceProfile.model_validate_json(path.read_bytes())
    except OSError as error:
        raise BundleError(f"{PROFILE_FILE} cannot be read: {error.strerror or error}") from error
    except ValidationError as error:
        raise BundleError(
            f"{PROFILE_FILE} is none that this version reads: {summary(error)}"
        ) from (error)
