"""Read the pixels of each format into the rows of the stored picture.

docs/adr/0017-decoding.md says which library reads which format, and why.
"""

import numpy as np
from PIL import ExifTags, Image, TiffImagePlugin

from pipeline.errors import BrokenImage
from pipeline.image.header import png, webp
from pipeline.image.header.directory import Directory
from pipeline.image.header.tiff_blocks import missing_bytes
from pipeline.image.header.tiff_tags import GREY_FROM_WHITE, Tag
from pipeline.image.jpeg_codec import decode_jpeg
from pipeline.image.orientation import Pixels
from pipeline.image.png_codec import load_png
from pipeline.image.tiff_jpeg import check_jpeg_blocks

# Read uncompressed files with libtiff, too: Pillow's own reader reads 16-bit planes as 8-bit ones.
TiffImagePlugin.READ_LIBTIFF = True
# Pillow lists 16-bit WhiteIsZero for little-endian files only. This adds it for big-endian ones.
TiffImagePlugin.OPEN_INFO[(TiffImagePlugin.MM, GREY_FROM_WHITE, (1,), 1, (16,), ())] = (
    "I;16B",
    "I;16B",
)

_BAND_PIXELS = 1 << 20  # pixels converted at a time, so that no second whole picture is in memory


def check_integrity(data: bytes, name: str) -> None:
    """Raise BrokenImage for lost data that the decoding library would not notice."""
    if name == "PNG":
        png.check_checksums(data)
    if name == "TIFF":
        check_jpeg_blocks(data)
    if name == "WEBP":
        _check_webp_complete(data)


def padded(data: bytes, name: str) -> bytes:
    """Return the file, with zeros for those bytes after its end that a TIFF counts as its own."""
    return data + bytes(missing_bytes(Directory.read(data))) if name == "TIFF" else data


def load(data: bytes, name: str, image: Image.Image) -> None:
    """Load the pixels of a PNG or TIFF; do nothing for the other formats.

    Pillow knows the orientation of these two only after it has loaded them, and it turns a TIFF
    upright. Raise BrokenImage or one of `decode.PILLOW_ERRORS`.
    """
    if name == "PNG":
        load_png(data, image)
    if name == "TIFF":
        exif = image.getexif()
        for tag in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo, ExifTags.IFD.Interop):
            exif.pop(tag, None)  # otherwise Pillow reads these directories at any cost
        image.load()


def read_pixels(data: bytes, name: str, image: Image.Image, rows: Pixels) -> None:
    """Write the stored picture into `rows`, (H, W, 3) uint8 BGR of any strides.

    Raise BrokenImage or one of `decode.PILLOW_ERRORS`.
    """
    if name == "JPEG":
        _read_jpeg(data, image, rows)
    elif name == "WEBP" and not webp.is_animation(data):
        _read_webp(data, rows)
    else:
        _read_with_pillow(image, rows, inverted=name == "TIFF" and _counts_from_white(data))


def _read_jpeg(data: bytes, image: Image.Image, rows: Pixels) -> None:
    if image.mode == "CMYK":
        decode_jpeg(data, "CMYK")
        _read_with_pillow(image, rows)
    elif rows.flags.c_contiguous:
        decode_jpeg(data, "BGR", rows)
    else:
        rows[:] = decode_jpeg(data, "BGR")


def _read_webp(data: bytes, rows: Pixels) -> None:
    # Decode the chunk of the picture alone: libwebp would complete a truncated picture with bytes
    # of the next chunk. OpenCV decodes it, since Pillow would hold the picture five times.
    picture = _decode_webp(webp.picture_alone(data))
    if picture is None or picture.shape != rows.shape:
        raise BrokenImage(
            "The WebP image is damaged: its content cannot be decoded. Export or transfer it again."
        )
    rows[:] = picture


def _decode_webp(data: bytes) -> Pixels | None:
    import cv2  # imported here, since only WebP needs it

    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    picture = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    return None if picture is None else picture.astype(np.uint8, copy=False)


def _check_webp_complete(data: bytes) -> None:
    """Raise BrokenImage where the picture decodes without its last 16 bytes.

    The codec has no checksum, but it reads a complete picture to its end. A picture that does not
    need its last bytes was truncated and padded.
    """
    if _decode_webp(webp.picture_alone(data, less=16)) is not None:
        raise BrokenImage(
            "The WebP image is damaged: it lost pixel data. Export or transfer it again."
        )


def _read_with_pillow(image: Image.Image, rows: Pixels, inverted: bool = False) -> None:
    image.load()
    image.info.pop("transparency", None)  # dropped in any case; with it Pillow would warn
    step = max(1, _BAND_PIXELS // image.width)
    for top in range(0, image.height, step):
        band = image.crop((0, top, image.width, min(top + step, image.height)))
        if band.mode.startswith("I;16"):
            grey = np.asarray(band)
            band = Image.fromarray(((~grey if inverted else grey) >> 8).astype(np.uint8))
        # Pillow reverses the channels while it packs them; NumPy would take four times as long.
        pixels = np.frombuffer(band.convert("RGB").tobytes("raw", "BGR"), dtype=np.uint8)
        rows[top : top + band.height] = pixels.reshape(band.height, band.width, 3)


def _counts_from_white(data: bytes) -> bool:
    return Directory.read(data).number(Tag.PHOTOMETRIC, -1) == GREY_FROM_WHITE
