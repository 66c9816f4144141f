"""JPEG files with complete pixels and odd headers, such as cameras and old encoders write.

This module writes the oddities into files that Pillow wrote.
"""

import struct
from collections.abc import Iterator

import numpy as np
from PIL import Image

from tests.images import encoded


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content


def kinds(pixels: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """Yield the name and the file of each coding of the picture."""
    rgb = Image.fromarray(pixels)
    yield "baseline", encoded(rgb, "JPEG")
    yield "baseline 4:4:4", encoded(rgb, "JPEG", subsampling=0)
    yield "progressive", encoded(rgb, "JPEG", progressive=True)
    yield "restarting", encoded(rgb, "JPEG", restart_marker_blocks=2)
    yield "grey", encoded(rgb.convert("L"), "JPEG")
    yield "CMYK", encoded(rgb.convert("CMYK"), "JPEG")


def oddities(data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the name of each oddity that libjpeg warns of and no pixel needs, and the odd file."""
    profile = b"ICC_PROFILE\0"
    if b"\xff\xc2" not in data:
        for bounds in (b"\0\0\0", b"\0\x3e\0", b"\1\x3f\0", b"\0\x3f\1", b"\0\x3f\x10"):
            yield f"scan bounds {bounds.hex()}", with_scan_bounds(data, bounds)
    for version in (0, 2, 255):
        if b"JFIF\0" in data:
            yield f"JFIF {version}", with_jfif_version(data, version)
    for numbers in ((1, 2), (0, 1), (1, 0), (3, 1)):
        part = segment(0xE2, profile + bytes(numbers) + bytes(200))
        yield f"part of a profile {numbers}", data[:2] + part + data[2:]
    profile_segment = segment(0xE2, profile + b"\1\1" + bytes(200))
    yield "a profile twice", data[:2] + profile_segment * 2 + data[2:]
    for transform in (1, 2, 3, 7, 9, 255):
        yield f"Adobe {transform}", with_adobe_transform(data, transform)
    for junk in (b"\0", b"junk" * 10, bytes(608), b"\xff\0" * 9):
        at = data.index(b"\xff\xdb")
        yield f"{len(junk)} bytes before a table", data[:at] + junk + data[at:]
    for marker in (b"\xff\xc4", b"\xff\xda"):
        at = data.index(marker)
        yield f"a byte before {marker.hex()}", data[:at] + b"\0" + data[at:]


def with_scan_bounds(data: bytes, bounds: bytes) -> bytes:
    end = data.index(b"\xff\xda") + 5 + 2 * data[data.index(b"\xff\xda") + 4]
    return data[:end] + bounds + data[end + 3 :]


def with_jfif_version(data: bytes, version: int) -> bytes:
    at = data.index(b"JFIF\0") + 5
    return data[:at] + bytes([version]) + data[at + 1 :]


def with_adobe_transform(data: bytes, transform: int) -> bytes:
    """Return the file without JFIF, so that libjpeg takes the colours from Adobe's segment."""
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]))
    if data[2:4] in (b"\xff\xe0", b"\xff\xee"):
        data = data[:2] + data[4 + struct.unpack_from(">H", data, 4)[0] :]
    return data[:2] + adobe + data[2:]


def odd_jpegs(pixels: np.ndarray) -> Iterator[tuple[str, bytes]]:
    for kind, data in kinds(pixels):
        for oddity, odd in oddities(data):
            yield f"{kind} JPEG, {oddity}", odd
