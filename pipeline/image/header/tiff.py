"""Check that a TIFF file holds one picture, in a layout that is known to decode correctly.

Its samples must be unsigned integers. The tests compare each accepted layout with the pixels that
independent programs wrote.
"""

from collections.abc import Iterator

from pipeline.errors import BrokenImage, ImageTooLarge, UnsupportedImage
from pipeline.image.header.checks import check_size
from pipeline.image.header.directory import Directory
from pipeline.image.header.tiff_blocks import check_blocks
from pipeline.image.header.tiff_tags import (
    CMYK,
    DEFLATE,
    GREY,
    GREY_FROM_WHITE,
    JPEG,
    LZW,
    NO_COMPRESSION,
    OLD_DEFLATE,
    PACKBITS,
    PALETTE,
    RGB,
    YCBCR,
    Tag,
)
from pipeline.image.limits import ImageLimits

_SENSOR = (32803, 34892)  # colour filter array, linear raw

# By photometric interpretation and samples per pixel: the accepted bits per sample.
_LAYOUTS: dict[int, dict[int, tuple[int, ...]]] = {
    GREY_FROM_WHITE: {1: (1, 2, 4, 8, 16)},
    GREY: {1: (1, 2, 4, 8, 16), 2: (8,)},
    RGB: {3: (8, 16), 4: (8, 16)},
    PALETTE: {1: (1, 2, 4, 8)},
    CMYK: {4: (8,)},
    YCBCR: {3: (8,)},
}
_ABSENT = -1
_NAMED_LAYOUTS = {
    _ABSENT: "colours of unknown meaning (no PhotometricInterpretation)",
    4: "a transparency mask",
    8: "CIELAB colours",
}
_COMPRESSIONS = (NO_COMPRESSION, LZW, JPEG, DEFLATE, OLD_DEFLATE, PACKBITS)
_RAW_COMPRESSIONS = (32767, 32769, 32770, 34713, 65535)  # Sony, Epson, Samsung, Nikon, Pentax
_NAMED_COMPRESSIONS = {2: "fax", 3: "fax", 4: "fax", 6: "old-style JPEG", 34712: "JPEG 2000"}

_REDUCED, _MASK = 1, 4  # bit flags of NewSubfileType
_MAX_DIRECTORIES = 64

_RAW = (
    "This is a raw camera file (such as DNG, NEF, CR2 or ARW), not a finished picture. Export it "
    "as JPEG, PNG or an ordinary TIFF."
)


def read_size(data: bytes, limits: ImageLimits) -> tuple[int, int]:
    """Return the stored width and height in pixels of a TIFF file.

    Raise UnsupportedImage for a raw camera file or a compression that is not accepted;
    ImageTooLarge; BrokenImage for a file that is damaged, or has several pages or a layout that is
    not accepted.
    """
    directory = Directory.read(data)
    _check_picture(data, directory)
    size = directory.number(Tag.WIDTH, 0), directory.number(Tag.HEIGHT, 0)
    check_size(*size, limits)
    # A tile is decoded as a whole, even where the image uses little of it.
    if directory.number(Tag.TILE_WIDTH, 0) * directory.number(Tag.TILE_HEIGHT, 0) > (
        limits.max_pixels
    ):
        raise ImageTooLarge(
            f"The TIFF image has tiles of more than {limits.max_pixels} pixels. Export it with "
            "smaller tiles, or as PNG."
        )
    _check_coding(directory)
    _check_layout(directory)
    directory.check_metadata()
    check_blocks(directory)
    return size


def _check_picture(data: bytes, directory: Directory) -> None:
    """Raise UnsupportedImage for a raw camera file.

    Raise BrokenImage where the first directory is not the only full picture of the file.
    """
    photometric = directory.number(Tag.PHOTOMETRIC, _ABSENT)
    compression = directory.number(Tag.COMPRESSION, NO_COMPRESSION)
    if (
        data[8:10] == b"CR"
        or Tag.DNG_VERSION in directory.entries
        or photometric in _SENSOR
        or compression in _RAW_COMPRESSIONS
        or any(_is_larger(part, directory) for part in _sub_directories(data, directory))
    ):
        raise UnsupportedImage(_RAW)
    if _is_part(directory):
        raise BrokenImage(
            "The TIFF image begins with a reduced picture or a mask, not with the picture itself. "
            "Export the picture alone."
        )
    for page in _following(data, directory):
        if not _is_part(page):
            raise BrokenImage(
                "The TIFF image has several pages; one picture is needed. Export a single page."
            )


def _is_part(directory: Directory) -> bool:
    """Return whether a directory is a reduced version or a mask of another picture."""
    kind = directory.number(Tag.SUBFILE_TYPE, 0)
    return bool(kind & (_REDUCED | _MASK)) or directory.number(Tag.OLD_SUBFILE_TYPE, 0) == 2


def _is_larger(part: Directory, directory: Directory) -> bool:
    if part.number(Tag.PHOTOMETRIC, -1) in _SENSOR:
        return True
    return _pixels(part) > _pixels(directory)


def _pixels(directory: Directory) -> int:
    return directory.number(Tag.WIDTH, 0) * directory.number(Tag.HEIGHT, 0)


def _sub_directories(data: bytes, directory: Directory) -> Iterator[Directory]:
    offsets = directory.numbers(Tag.SUB_DIRECTORIES)
    if len(offsets) > _MAX_DIRECTORIES:
        raise BrokenImage(
            "The TIFF image holds more directories than any real image. Export the picture alone."
        )
    return (Directory.read(data, offset) for offset in offsets)


def _following(data: bytes, directory: Directory) -> Iterator[Directory]:
    """Yield the directories after the first. Raise BrokenImage for a circle or too many."""
    offsets: set[int] = set()
    while directory.following:
        if directory.following in offsets or len(offsets) > _MAX_DIRECTORIES:
            raise BrokenImage(
                "The TIFF image is damaged: its chain of directories is a circle or too long. "
                "Export it again."
            )
        offsets.add(directory.following)
        directory = Directory.read(data, directory.following)
        yield directory


def _check_coding(directory: Directory) -> None:
    compression = directory.number(Tag.COMPRESSION, NO_COMPRESSION)
    if compression not in _COMPRESSIONS:
        name = _NAMED_COMPRESSIONS.get(compression, f"compression {compression}")
        raise UnsupportedImage(
            f"The TIFF image is compressed with {name}; none, LZW, Deflate, PackBits and JPEG are "
            "accepted. Export it with one of these, or as PNG."
        )
    if directory.number(Tag.PREDICTOR, 1) not in (1, 2):
        raise BrokenImage(
            "The TIFF image has a predictor for floating-point samples. Export it as an 8-bit or "
            "16-bit image."
        )
    if directory.number(Tag.FILL_ORDER, 1) != 1:
        raise BrokenImage(
            "The TIFF image stores its bits in reverse order (FillOrder 2). Export it as PNG."
        )


def _check_layout(directory: Directory) -> None:
    photometric = directory.number(Tag.PHOTOMETRIC, _ABSENT)
    samples = directory.number(Tag.SAMPLES, 1)
    bits = directory.numbers(Tag.BITS) or (1,)
    formats = directory.numbers(Tag.SAMPLE_FORMAT) or (1,)
    if photometric not in _LAYOUTS:
        name = _NAMED_LAYOUTS.get(photometric, f"photometric interpretation {photometric}")
        raise BrokenImage(f"The TIFF image holds {name}; {_ACCEPTED}")
    if set(formats) != {1}:
        raise BrokenImage(
            "The TIFF image has floating-point or signed samples, not unsigned integers of 8 or 16 "
            "bits. Export it as an 8-bit or 16-bit image."
        )
    if len(set(bits)) != 1 or len(bits) not in (1, samples):
        raise BrokenImage(
            "The TIFF image has samples of different numbers of bits. Export it as an 8-bit or "
            "16-bit image."
        )
    if samples not in _LAYOUTS[photometric]:
        raise BrokenImage(f"The TIFF image has {samples} samples per pixel; {_ACCEPTED}")
    if bits[0] not in _LAYOUTS[photometric][samples]:
        raise BrokenImage(
            f"The TIFF image has {bits[0]} bits per sample; 8 or 16 are needed. Export it as an "
            "8-bit or 16-bit image."
        )
    if directory.number(Tag.PLANAR, 1) != 1 and bits[0] != 8:
        raise BrokenImage(
            f"The TIFF image stores {bits[0]}-bit samples in separate planes (PlanarConfiguration "
            "2). Export it with interleaved samples, or as PNG."
        )
    _check_extra_samples(directory, photometric, samples)
    if {directory.number(tag, 1) for tag in (Tag.IMAGE_DEPTH, Tag.TILE_DEPTH)} != {1}:
        raise BrokenImage(
            "The TIFF image holds several slices in one page; one picture is needed. Export a "
            "single slice."
        )
    is_jpeg = directory.number(Tag.COMPRESSION, NO_COMPRESSION) == JPEG
    if (photometric == YCBCR and not is_jpeg) or (is_jpeg and bits[0] != 8):
        raise BrokenImage(
            f"The TIFF image holds YCbCr colours without JPEG compression, or JPEG of other than 8 "
            f"bits; {_ACCEPTED}"
        )


def _check_extra_samples(directory: Directory, photometric: int, samples: int) -> None:
    """Raise BrokenImage for samples beyond the colours that Pillow would misread."""
    extra = directory.numbers(Tag.EXTRA_SAMPLES)
    expected = samples - min(_LAYOUTS[photometric])
    if photometric == GREY and samples == 2 and extra == (1,):
        raise BrokenImage(
            f"The TIFF image holds grey premultiplied with its transparency; {_ACCEPTED}"
        )
    # RGB of four samples, the last of them without a description, is RGB and padding.
    if len(extra) != expected and not (photometric == RGB and expected == 1 and not extra):
        raise BrokenImage(
            f"The TIFF image describes {len(extra)} extra samples per pixel and has {expected}; "
            f"{_ACCEPTED}"
        )


_ACCEPTED = (
    "grey, RGB, palette and CMYK pictures are accepted. Export it as an ordinary RGB TIFF or as "
    "PNG."
)
