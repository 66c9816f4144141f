from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints

from pipeline.schema import Label, Name, Schema, without_sign

# A language as BCP 47 names it: es, pt-BR
Language = Annotated[
    str, StringConstraints(max_length=35, pattern="^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")
]
# By the model's own label and by language. Not every label is in every language.
LabelTranslations = Annotated[
    dict[Label, Annotated[dict[Language, Label], Field(min_length=1, max_length=100)]],
    Field(min_length=1, max_length=10_000),
]


class ModelInfo(Schema):
    """The model that made a prediction, and what else decides it beside image and options.

    Both digests are SHA-256 in hex.
    """

    name: Name
    version: Name
    sha256: str = Field(description="of the weights file alone")
    bundle_sha256: str = Field(
        pattern="^([0-9a-f]{64})?$",
        description=(
            "of the bundle's manifest, which covers weights, configuration, class names and "
            "golden cases: the identity of the model; empty where no bundle was loaded"
        ),
    )
    engine: Name
    precision: Literal["float32", "bfloat16", "int8"] = Field(
        description="of the engine's arithmetic; int8 answers differ from float32 ones"
    )
    score_threshold: Annotated[float | None, AfterValidator(without_sign)] = Field(
        default=None,
        description=(
            "the model's own: it reports no detection of a lower score; null in answers of a "
            "serving half that is older than the field"
        ),
    )
    software: dict[Name, Name] | None = Field(
        default=None,
        max_length=20,
        description=(
            "the versions of lesionserve and of the libraries that decide an answer, by the names "
            "of their packages, in the process that ran the model; null as above"
        ),
    )
    labels: LabelTranslations | None = Field(
        default=None,
        description=(
            "the bundle's translations of the model's labels, by label and language; null where it "
            "has none. Whoever shows one shows the model's own label beside it"
        ),
    )
