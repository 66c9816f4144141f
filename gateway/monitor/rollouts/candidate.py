from pydantic import Field, ValidationError

from gateway.errors import UpstreamFault
from gateway.predict.manifest import Manifest
from gateway.predict.upstream import Upstream

# The path of the second application of the serving half.
PATH = "/candidate"


class LoadedModel(Manifest):
    """What an application says of its loaded model."""

    score_threshold: float = Field(
        0.0, ge=0, le=1, description="its own; 0 of a serving half that does not say it"
    )


async def served_model(upstream: Upstream) -> LoadedModel:
    """Return the model that the application has loaded. Raise LesionserveError."""
    try:
        return LoadedModel.model_validate_json(await upstream.model())
    except ValidationError as error:
        raise UpstreamFault("The inference service gave no valid answer.") from error
