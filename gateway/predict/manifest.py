from pydantic import BaseModel, Field

from pipeline.schema import Name


class Manifest(BaseModel):
    """The part of the model's manifest that the gateway shows."""

    name: Name
    version: Name
    bundle_sha256: str = Field(
        validation_alias="digest",
        pattern="^[0-9a-f]{64}$",
        description="of the manifest: the model's identity, as in every answer",
    )
