import struct
from dataclasses import dataclass

from pipeline.errors import BrokenImage
from pipeline.image.header.checks import check_parts

# Bytes per value of each TIFF type: BYTE, ASCII, SHORT, LONG, RATIONAL, and so on (TIFF 6.0,
# section 2).
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_WHOLE = {1: "B", 3: "H", 4: "I", 13: "I"}
_NUMBERS = frozenset(_SIZES) - {1, 2, 6, 7}  # all types but bytes and text, which cost little

# Pillow makes a Python object of each number of a tag, and copies the bytes of each tag.
_MAX_NUMBERS = 65_536
_MAX_METADATA_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Directory:
    """An image file directory of a TIFF file.

    order: byte order, '<' or '>'. entries: type, count and file offset of the values, by tag.
    following: file offset of the next directory, or 0 for none.
    """

    data: bytes
    order: str
    entries: dict[int, tuple[int, int, int]]
    following: int

    @classmethod
    def read(cls, data: bytes, offset: int | None = None) -> "Directory":
        """Return the directory at `offset`, by default the first one of the file.

        Raise BrokenImage where it is cut off, holds a tag twice, or points outside the file.
        """
        order = "<" if data.startswith(b"II") else ">"
        entries: dict[int, tuple[int, int, int]] = {}
        try:
            offset = struct.unpack_from(order + "I", data, 4)[0] if offset is None else offset
            (number,) = struct.unpack_from(order + "H", data, offset)
            for position in range(offset + 2, offset + 2 + 12 * number, 12):
                tag, kind, count = struct.unpack_from(order + "HHI", data, position)
                if tag in entries:
                    raise BrokenImage(
                        "The TIFF image is damaged: it holds a tag twice. Export it again."
                    )
                entries[tag] = kind, count, _values_at(data, order, position, kind, count)
            (following,) = struct.unpack_from(order + "I", data, offset + 2 + 12 * number)
        except struct.error as error:
            raise BrokenImage(
                "The TIFF image is cut off: its directory ends too early. Export or transfer it "
                "again."
            ) from error
        return cls(data, order, entries, following)

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Return the integers of a tag; an empty tuple where the tag is absent.

        Raise BrokenImage for a tag of another type, or with more numbers than any real image has.
        """
        if tag not in self.entries:
            return ()
        kind, count, offset = self.entries[tag]
        if kind not in _WHOLE:
            raise BrokenImage(
                f"The TIFF image is damaged: its tag {tag} has a wrong type. Export it again."
            )
        check_parts(count)
        return struct.unpack_from(f"{self.order}{count}{_WHOLE[kind]}", self.data, offset)

    def number(self, tag: int, default: int) -> int:
        """Return the single integer of a tag, or `default` where the tag is absent.

        Raise BrokenImage where the tag has no value or several.
        """
        numbers = self.numbers(tag)
        if tag in self.entries and len(numbers) != 1:
            raise BrokenImage(
                f"The TIFF image is damaged: its tag {tag} needs one value. Export it again."
            )
        return numbers[0] if numbers else default

    def check_metadata(self) -> None:
        """Raise BrokenImage for tags so large that Pillow would take seconds to read them."""
        total = 0
        for kind, count, _ in self.entries.values():
            total += _SIZES.get(kind, 0) * count
            if total > _MAX_METADATA_BYTES or (kind in _NUMBERS and count > _MAX_NUMBERS):
                raise BrokenImage(
                    "The TIFF image holds more metadata than any real image. Export it without "
                    "metadata."
                )


def _values_at(data: bytes, order: str, entry: int, kind: int, count: int) -> int:
    """Return the file offset of a tag's values: in its entry, if they fit into four bytes."""
    size = _SIZES.get(kind, 0) * count
    if size <= 4:
        return entry + 8
    (offset,) = struct.unpack_from(order + "I", data, entry + 8)
    if offset + size > len(data):
        raise BrokenImage(
            "The TIFF image is cut off: a tag points beyond its end. Export or transfer it again."
        )
    return int(offset)
