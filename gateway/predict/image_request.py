from dataclasses import dataclass

from pipeline.image.inspect import Header
from pipeline.schemas import PredictOptions


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """An image for the ingress: its bytes, their SHA-256 in hex, its header, and the options."""

    image: bytes
    sha256: str
    header: Header
    options: PredictOptions
    request_id: str
    correlation_id: str | None = None
