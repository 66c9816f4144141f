"""The golden cases of the model that the ingress has loaded, as `GET /golden` reports them."""

from typing import Annotated

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field, ValidationError

from gateway.errors import UpstreamFault
from pipeline.bundle.golden import is_comparable
from pipeline.schema import Name
from pipeline.schemas import Detection


class GoldenCase(BaseModel):
    """An image file, and the lesions that the model found in it when its bundle was made."""

    model_config = ConfigDict(frozen=True)

    name: Name
    image: Annotated[Base64Bytes, Field(min_length=1)]
    expected: list[Detection]


class GoldenSet(BaseModel):
    """The golden cases of one model, in the precision in which it is loaded."""

    model_config = ConfigDict(frozen=True)

    bundle_sha256: str = Field(pattern="^[0-9a-f]{64}$")
    score_threshold: float = Field(ge=0, le=1)
    cases: list[GoldenCase] = Field(min_length=1)


def parse_golden(body: bytes) -> GoldenSet:
    """Return the golden cases of an ingress's answer. Raise UpstreamFault for anything else."""
    try:
        golden = GoldenSet.model_validate_json(body, extra="ignore")
    except ValidationError as error:
        raise UpstreamFault("The inference service gave no golden cases.") from error
    if not all(is_comparable(case.expected) for case in golden.cases):
        raise UpstreamFault("The inference service gave no golden cases.")
    return golden
