"""Read the format and size of an image file from its structure, without decoding it.

No codec runs and no memory for pixels is allocated, so the gateway can inspect hostile bytes. The
orientation is left to the decoder, which alone reads metadata: `Header` has the stored sides.
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
    """The name of the format, and the sides of the stored picture in pixels."""

    format: str
    width: int
    height: int

    def agrees_with(self, info: ImageInfo) -> bool:
        """Return whether the upright image that `info` describes can be this one, in any turn."""
        stored = (self.width, self.height)
        return info.format == self.format and stored in (
            (info.width, info.height),
            (info.height, info.width),
        )


def inspect(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> Header:
    """Return the header of an image file.

    Raise UnsupportedImage, ImageTooLarge or BrokenImage, with the reason and the remedy.
    """
    check_bytes(data, limits)
    if not data:
        raise BrokenImage("The image is empty: it has 0 bytes.")
    name = _format(data)
    if name is None or name not in limits.formats:
        accepted = f"Accepted are {', '.join(limits.formats)}."
        kind = foreign.description(data) if name is None else f"This is a {name} image."
        raise UnsupportedImage(f"{kind or 'This is not an image of a known format.'} {accepted}")
    return Header(name, *_READERS[name](data, limits))


def check_bytes(data: bytes, limits: ImageLimits) -> None:
    """Raise ImageTooLarge for a file with more than `limits.max_bytes` bytes."""
    if len(data) > limits.max_bytes:
        raise ImageTooLarge(
            f"The image has {len(data)} bytes; at most {limits.max_bytes} are accepted. Export it "
            "in a smaller size or as JPEG."
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
