"""TIFF files in any layout, written byte by byte, without a library that also reads them."""

import struct
from dataclasses import dataclass, field

import numpy as np

SIZES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 7: "B"}

Values = tuple[int, ...]


@dataclass
class Page:
    """A directory: type and values by tag, the pixel data, and the sub-directories."""

    tags: dict[int, tuple[int, Values]]
    strips: list[bytes] = field(default_factory=list)
    parts: list["Page"] = field(default_factory=list)


def page(pixels: np.ndarray, order: str = "<", **changes: tuple[int, Values] | None) -> Page:
    """Return an uncompressed page of (H, W) or (H, W, C) integers.

    Changes are named by tag, such as `t262=(3, (0,))`; `t262=None` removes the tag.
    """
    height, width = pixels.shape[:2]
    samples = pixels.shape[2] if pixels.ndim == 3 else 1
    bits = pixels.dtype.itemsize * 8
    tags: dict[int, tuple[int, Values]] = {
        256: (4, (width,)),
        257: (4, (height,)),
        258: (3, (bits,) * samples),
        259: (3, (1,)),
        262: (3, (2 if samples >= 3 else 1,)),
        277: (3, (samples,)),
        278: (4, (height,)),
    }
    for name, change in changes.items():
        if change is None:
            tags.pop(int(name[1:]), None)
        else:
            tags[int(name[1:])] = change
    return Page(tags, [pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()])


def tiff(*pages: Page, order: str = "<", before: bytes = b"") -> bytes:
    """Return the file of these pages, with `before` between the header and the first strip."""
    data = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4) + before)
    link = 4
    for page_ in pages:
        start, following = _write_page(data, page_, order)
        struct.pack_into(order + "I", data, link, start)
        link = following
    return bytes(data)


def _write_page(data: bytearray, page_: Page, order: str) -> tuple[int, int]:
    """Append a page; return the offset of its directory, and that of the link to the next one."""
    tags = dict(page_.tags)
    if page_.strips:
        offsets = []
        for strip in page_.strips:
            offsets.append(len(data))
            data += strip + bytes(len(strip) % 2)
        tags.setdefault(273, (4, tuple(offsets)))
        tags.setdefault(279, (4, tuple(len(strip) for strip in page_.strips)))
    if page_.parts:
        tags[330] = (4, tuple(_write_page(data, part, order)[0] for part in page_.parts))
    start = len(data)
    return start, _write_directory(data, tags, order)


def _write_directory(data: bytearray, tags: dict[int, tuple[int, Values]], order: str) -> int:
    """Append a directory, and return the offset of its link to the next one."""
    start = len(data)
    data += bytes(2 + 12 * len(tags) + 4)
    struct.pack_into(order + "H", data, start, len(tags))
    for number, (tag, (kind, values)) in enumerate(sorted(tags.items())):
        entry = start + 2 + 12 * number
        letters = SIZES[kind]
        packed = struct.pack(order + letters * (len(values) // len(letters)), *values)
        count = len(values) // len(letters)
        struct.pack_into(order + "HHI", data, entry, tag, kind, count)
        if len(packed) <= 4:
            data[entry + 8 : entry + 12] = packed.ljust(4, b"\0")
        else:
            struct.pack_into(order + "I", data, entry + 8, len(data))
            data += packed + bytes(len(packed) % 2)
    return start + 2 + 12 * len(tags)
