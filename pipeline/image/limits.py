from dataclasses import dataclass

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP")


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """The bounds of an accepted image file.

    `min_side`, `max_pixels` and `max_aspect` (longer side / shorter side) apply to the image as it
    is stored, before EXIF orientation.
    """

    formats: tuple[str, ...] = FORMATS
    max_bytes: int = 32 * 1024 * 1024
    max_pixels: int = 50_000_000
    min_side: int = 8
    max_aspect: float = 50.0


DEFAULT_LIMITS = ImageLimits()
