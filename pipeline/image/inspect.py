"""What an image file claims to hold, from its structure alone.

No codec runs and nothing is allocated, so the gateway may inspect hostile bytes. Orientation is
left to the decoder, the one place that reads metadata: `Header` has the sides as they are stored.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.errors import BrokenImage, ImageTooLarge, UnsupportedImage
from pipeline.image.header import bmp, foreign, jpeg, png, tiff, webp
from pipeline.image.header.checks import u32
from pipeline.image.limits import DEFAULT_LIMITS, ImageLimits
from pipeline.schemas import ImageInfo


@dataclass(frozen=True, slots=True)
class Header:
    """The format's name, and the sides in pixels of the picture as it is stored."""

    format: str
    width: int
    height: int

    def agrees_with(self, info: ImageInfo) -> bool:
        """Return whether `info`, which is upright, may be of this image."""
        stored = (self.width, self.height)
        return info.format == self.format and stored in (
            (info.width, info.height),
            (info.height, info.width),
        )


def inspect(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Header:
    """Return what the file claims to hold.

    Raise UnsupportedImage, ImageTooLarge or BrokenImage, with the reason and the remedy.
    """
    check_bytes(data, limits)
    if not data:
        raise BrokenImage("The image is empty: it has 0 bytes.")
    name = _format(data)
    if name is None or name not in limits.formats:
        accepted = f"Accepted are {', '.join(limits.formats)}."
        kind = foreign.description(data) if name is None else f"This is a {name} image."
        raise UnsupportedImage(f"{kind or 'This is no image that can be read here.'} {accepted}")
    return Header(name, *_READERS[name](data, limits))


def check_bytes(data: bytes, limits: ImageLimits) -> None:
    """Raise ImageTooLarge for a file of more bytes than are accepted."""
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"The image has {len(data)} bytes; at most {limits.max_bytes} are accepted."
        )


def _format(data: bytes) -> str | None:
    if data.startswith(b"\xff\xd8"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WEBP"
    if data.startswith(b"BM") and (
        len(data) < 18 or u32(data, 14) in (12, 40, 52, 56, 64, 108, 124)
    ):
        return "BMP"
    return None


_READERS: dict[str, Callable[[bytes, ImageLimits], tuple[int, int]]] = {
    "JPEG": jpeg.read_size,
    "PNG": png.read_size,
    "TIFF": tiff.read_size,
    "WEBP": webp.read_size,
    "BMP": bmp.read_size,
}
