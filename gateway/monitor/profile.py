"""The reference profile of the model that the ingress has loaded, as `GET /profile` reports it."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import UpstreamFault
from pipeline.model_info import LabelTranslations
from pipeline.schema import Label, Name


class Distribution(BaseModel):
    """The distribution of a statistic over the validation images, by its quantiles.

    quantiles: at shares that are equally far apart, from the lowest value to the highest.
    """

    model_config = ConfigDict(frozen=True)

    count: int = Field(ge=0)
    quantiles: list[float] = Field(max_length=1001)


class Precision(BaseModel):
    """The share of a class's detections that are right, with its 95 % interval."""

    model_config = ConfigDict(frozen=True)

    value: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class ClassAccuracy(BaseModel):
    model_config = ConfigDict(frozen=True)

    precision: Precision | None


class Accuracy(BaseModel):
    model_config = ConfigDict(frozen=True)

    classes: dict[Label, ClassAccuracy]


class Profile(BaseModel):
    """What is read of a profile: the distributions by group and name, and the accuracy."""

    model_config = ConfigDict(frozen=True)

    images: int = Field(ge=1)
    per_image: dict[Name, dict[Label, Distribution]]
    accuracy: Accuracy | None


class ProfileReport(BaseModel):
    """Hold a model's profile, or None, its labels and their translations.

    class_names: the least severe first; None from an ingress that does not tell.
    """

    model_config = ConfigDict(frozen=True)

    bundle_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    profile: Profile | None
    labels: LabelTranslations | None = None
    class_names: list[Label] | None = None


def parse_profile(body: bytes) -> ProfileReport:
    """Return the profile of an ingress's answer. Raise UpstreamFault for anything else."""
    try:
        return ProfileReport.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        raise UpstreamFault("The inference service gave no profile.") from error
