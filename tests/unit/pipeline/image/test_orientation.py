"""Test the orientation in each format, in every notation, against Detectron2's reader."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import BrokenImage
from pipeline.image.decode import decode
from tests.detectron2_reader import read_image
from tests.images import HEIGHT, WIDTH, chunk, encoded, picture, with_chunk

TYPES = {
    "BYTE": (1, "B"),
    "SHORT": (3, "H"),
    "LONG": (4, "I"),
    "SBYTE": (6, "b"),
    "SSHORT": (8, "h"),
}
UNTURNED, TURNED = (HEIGHT, WIDTH, 3), (WIDTH, HEIGHT, 3)


def exif(value: int = 6, kind: str = "SHORT", count: int = 1, order: str = "<") -> bytes:
    """Return a TIFF block with only the orientation, as `count` equal integers of type `kind`."""
    number, letter = TYPES[kind]
    values = struct.pack(f"{order}{count}{letter}", *[value] * count)
    entry = struct.pack(order + "HHI", 274, number, count)
    entry += values.ljust(4, b"\0") if len(values) <= 4 else struct.pack(order + "I", 26)
    magic = b"II*\0" if order == "<" else b"MM\0*"
    return magic + struct.pack(order + "IH", 8, 1) + entry + bytes(4) + values


def jpeg_with(*segments: bytes) -> bytes:
    data = encoded(picture(), "JPEG")
    written = (b"\xff\xe1" + struct.pack(">H", len(part) + 2) + part for part in segments)
    return data[:2] + b"".join(written) + data[2:]


def webp_with(*chunks: tuple[bytes, bytes], flags: int) -> bytes:
    """Return a lossless WebP with the chunks after the picture, and `flags` in its VP8X header."""
    simple = encoded(picture(), "WEBP", lossless=True)
    sides = struct.pack("<I", WIDTH - 1)[:3] + struct.pack("<I", HEIGHT - 1)[:3]
    body = b"WEBPVP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + sides + simple[12:]
    for kind, content in chunks:
        body += kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def raw_profile(content: bytes) -> bytes:
    """Return ImageMagick's text form of an Exif profile."""
    block = b"Exif\0\0" + content
    lines = b"\nexif\n%8d\n" % len(block)
    digits = block.hex().encode()
    return lines + b"\n".join(digits[at : at + 72] for at in range(0, len(digits), 72)) + b"\n"


PROFILE = b"Raw profile type exif"
XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'


def tiff_with(value: int, kind: str = "SHORT", count: int = 1) -> bytes:
    """Return an uncompressed RGB TIFF whose orientation has the type `kind`."""
    data = encoded(picture(), "TIFF", tiffinfo={274: 1})
    at = data.index(struct.pack("<HHI", 274, 3, 1))
    number, letter = TYPES[kind]
    values = struct.pack(f"<{count}{letter}", *[value] * count)
    if len(values) > 4:
        values, data = struct.pack("<I", len(data)), data + values
    return (
        data[:at]
        + struct.pack("<HHI", 274, number, count)
        + values.ljust(4, b"\0")
        + data[at + 12 :]
    )


PNG = encoded(picture(), "PNG")
FILES = {
    "PNG, eXIf": with_chunk(PNG, b"eXIf", exif()),
    "PNG, eXIf behind the pixels": PNG[:-12] + chunk(b"eXIf", exif()) + PNG[-12:],
    "PNG, two eXIf": with_chunk(with_chunk(PNG, b"eXIf", exif(3)), b"eXIf", exif(6)),
    "PNG, eXIf with a JPEG's prefix": with_chunk(PNG, b"eXIf", b"Exif\0\0" + exif()),
    "PNG, tEXt profile": with_chunk(PNG, b"tEXt", PROFILE + b"\0" + raw_profile(exif())),
    "PNG, zTXt profile": with_chunk(
        PNG, b"zTXt", PROFILE + b"\0\0" + zlib.compress(raw_profile(exif()))
    ),
    "PNG, iTXt profile": with_chunk(PNG, b"iTXt", PROFILE + b"\0\0\0\0\0" + raw_profile(exif())),
    "PNG, compressed iTXt profile": with_chunk(
        PNG, b"iTXt", PROFILE + b"\0\1\0\0\0" + zlib.compress(raw_profile(exif()))
    ),
    "PNG, profile of APP1": with_chunk(
        PNG, b"tEXt", b"Raw profile type APP1\0" + raw_profile(exif())
    ),
    "PNG, XMP": with_chunk(PNG, b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + XMP),
    "PNG, compressed XMP": with_chunk(
        PNG, b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(XMP)
    ),
    "JPEG, Exif": jpeg_with(b"Exif\0\0" + exif()),
    "JPEG, Exif after an empty segment": jpeg_with(b"Exif\0\0", b"Exif\0\0" + exif()),
    "JPEG, Exif in two segments": jpeg_with(b"Exif\0\0" + exif()[:15], b"Exif\0\0" + exif()[15:]),
    "JPEG, two Exif": jpeg_with(b"Exif\0\0" + exif(3), b"Exif\0\0" + exif(6)),
    "JPEG, XMP": jpeg_with(b"http://ns.adobe.com/xap/1.0/\0" + XMP),
    "JPEG, Exif and other XMP": jpeg_with(
        b"Exif\0\0" + exif(3), b"http://ns.adobe.com/xap/1.0/\0" + XMP
    ),
    "WebP, Exif": webp_with((b"EXIF", exif()), flags=0x08),
    "WebP, Exif with a JPEG's prefix": webp_with((b"EXIF", b"Exif\0\0" + exif()), flags=0x08),
    "WebP, Exif without its flag": webp_with((b"EXIF", exif()), flags=0),
    "WebP, two Exif": webp_with((b"EXIF", exif(1)), (b"EXIF", exif(6)), flags=0x08),
    "WebP, XMP": webp_with((b"XMP ", XMP), flags=0x04),
    "WebP, XMP without its flag": webp_with((b"XMP ", XMP), flags=0),
}
FILES |= {
    f"{container}, {kind} x {count}, {order}": make(kind, count, order)
    for kind in TYPES
    for count in (1, 2, 3)
    for order in "<>"
    for container, make in {
        "PNG": lambda kind, count, order: with_chunk(PNG, b"eXIf", exif(6, kind, count, order)),
        "JPEG": lambda kind, count, order: jpeg_with(b"Exif\0\0" + exif(6, kind, count, order)),
        "WebP": lambda kind, count, order: webp_with(
            (b"EXIF", exif(6, kind, count, order)), flags=0x08
        ),
    }.items()
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES)
def test_reads_orientation_as_detectron2_does(data):
    assert np.array_equal(decode(data).pixels, read_image(data))


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("PNG, tEXt profile", TURNED),
        ("PNG, iTXt profile", TURNED),
        ("JPEG, Exif after an empty segment", TURNED),
        ("JPEG, LONG x 1, <", TURNED),
        ("WebP, Exif without its flag", UNTURNED),
        ("WebP, two Exif", UNTURNED),
        ("JPEG, SHORT x 3, <", TURNED),
        ("JPEG, BYTE x 1, <", UNTURNED),
    ],
)
def test_shape_follows_orientation(name, shape):
    assert decode(FILES[name]).pixels.shape == shape


@pytest.mark.parametrize("orientation", range(1, 9))
def test_says_by_which_orientation_picture_was_turned(orientation):
    data = with_chunk(PNG, b"eXIf", exif(orientation))
    assert decode(data).info.orientation == orientation


def test_says_that_picture_without_orientation_was_not_turned():
    assert decode(PNG).info.orientation == 1


def test_says_no_orientation_of_tiff():
    assert decode(tiff_with(6)).info.orientation is None


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["SHORT", "LONG"])
def test_turns_tiff_once(orientation, kind):
    upright = Image.open(io.BytesIO(encoded(picture(), "TIFF")))
    data = tiff_with(orientation, kind)
    turned = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_270),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_90),
    }[orientation](upright)
    assert np.array_equal(decode(data).pixels, np.asarray(turned)[:, :, ::-1])


def test_ignores_tiff_orientation_of_another_type():
    assert decode(tiff_with(6, "BYTE")).pixels.shape == UNTURNED


HEADLESS = bytes(24)
UNREADABLE = {
    "PNG, eXIf of text": with_chunk(PNG, b"eXIf", b"garbage!"),
    "PNG, eXIf of a few bytes": with_chunk(PNG, b"eXIf", b"MM\0*\0"),
    "PNG, eXIf behind the pixels": PNG[:-12] + chunk(b"eXIf", HEADLESS) + PNG[-12:],
    "PNG, eXIf of BigTIFF": with_chunk(PNG, b"eXIf", b"II\x2b\0\x08\0\0\0" + exif()),
    "PNG, profile that is not hexadecimal": with_chunk(
        PNG, b"tEXt", PROFILE + b"\0\nexif\n  99\nnot hexadecimal\n"
    ),
    "PNG, profile of other letters": with_chunk(
        PNG, b"iTXt", PROFILE + b"\0\0\0\0\0\nexif\n  99\n\xc3\xa4\n"
    ),
    "PNG, XMP as text": with_chunk(PNG, b"tEXt", b"xmp\0" + XMP),
    "JPEG, Exif without a header": jpeg_with(b"Exif\0\0" + HEADLESS),
    "JPEG, Exif and a density": encoded(picture(), "JPEG", dpi=(72, 72), exif=HEADLESS),
    "JPEG, Exif and XMP": jpeg_with(
        b"Exif\0\0" + HEADLESS, b"http://ns.adobe.com/xap/1.0/\0" + XMP
    ),
    "WebP, Exif without a header": webp_with((b"EXIF", HEADLESS), flags=0x08),
    "WebP, Exif of a few bytes": webp_with((b"EXIF", b"II*\0"), flags=0x08),
}


@pytest.mark.parametrize("data", UNREADABLE.values(), ids=UNREADABLE)
def test_ignores_unreadable_exif(data):
    pixels = decode(data).pixels
    assert np.array_equal(pixels, read_image(data))
    assert pixels.shape == UNTURNED


def test_rejects_damaged_png_with_unreadable_exif():
    pixels = chunk(b"IDAT", b"no pixels") + chunk(b"IEND", b"")
    with pytest.raises(BrokenImage, match="damaged"):
        decode(PNG[:33] + chunk(b"eXIf", HEADLESS) + pixels)
