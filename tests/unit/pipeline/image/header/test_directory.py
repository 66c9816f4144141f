import struct

import pytest

from pipeline.errors import BrokenImage
from pipeline.image.header.directory import Directory

SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
TEXT = {1, 2, 6, 7}

Entry = tuple[int, int, int, bytes]  # tag, type, count, and the four bytes of value or offset


def file(*entries: Entry, order: str = "<", at: int = 8, following: int = 0) -> bytes:
    """Return a file of a header and one directory, which begins at the offset `at`."""
    data = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", at)
    data += bytes(at - 8) + struct.pack(order + "H", len(entries))
    for entry in entries:
        data += struct.pack(order + "HHI4s", *entry)
    return data + struct.pack(order + "I", following)


def at(offset: int, order: str = "<") -> bytes:
    return struct.pack(order + "I", offset)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("kind", "numbers", "code"),
    [(1, (1, 2, 3, 255), "4B"), (3, (1, 65_535), "2H"), (4, (1 << 31,), "I"), (13, (9,), "I")],
)
def test_reads_numbers_within_their_entry(order, kind, numbers, code):
    data = file((256, kind, len(numbers), struct.pack(order + code, *numbers)), order=order)
    assert Directory.read(data).numbers(256) == numbers


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(
    ("kind", "numbers", "code"),
    [(1, (1, 2, 3, 4, 5), "5B"), (3, (1, 2, 65_535), "3H"), (4, (1, 1 << 31), "2I")],
)
def test_reads_numbers_that_entry_points_to(order, kind, numbers, code):
    values = struct.pack(order + code, *numbers)
    data = file((256, kind, len(numbers), at(26, order)), order=order)
    assert Directory.read(data + values).numbers(256) == numbers
    with pytest.raises(BrokenImage, match="a tag points beyond its end"):
        Directory.read(data + values[:-1])


@pytest.mark.parametrize(("kind", "size"), SIZES.items())
def test_values_of_each_type_have_its_size(kind, size):
    data = file((256, kind, 5, at(26)))
    Directory.read(data + bytes(5 * size))
    with pytest.raises(BrokenImage, match="a tag points beyond its end"):
        Directory.read(data + bytes(5 * size - 1))


def test_unknown_type_has_no_values():
    directory = Directory.read(file((256, 14, 9, at(1 << 31))))
    assert directory.entries == {256: (14, 9, 18)}
    Directory(b"", "<", {256: (14, 1 << 31, 18)}, 0).check_metadata()


def test_reads_each_entry_and_next_directory():
    data = file((256, 3, 1, b"\1\0\0\0"), (257, 4, 1, b"\2\0\0\0"), at=11, following=99)
    directory = Directory.read(data)
    assert directory.entries == {256: (3, 1, 21), 257: (4, 1, 33)}
    assert (directory.following, directory.order, directory.data) == (99, "<", data)


def test_reads_directory_at_given_offset():
    data = file((256, 3, 1, b"\1\0\0\0"))
    both = data + file((256, 3, 1, b"\2\0\0\0"))[8:]
    assert Directory.read(both).number(256, 0) == 1
    assert Directory.read(both, len(data)).number(256, 0) == 2


@pytest.mark.parametrize("order", "<>")
def test_offsets_have_no_sign(order):
    data = file(order=order, following=(1 << 32) - 1)
    assert Directory.read(data).following == (1 << 32) - 1
    with pytest.raises(BrokenImage, match="directory ends too early"):
        Directory.read(data[:4] + at((1 << 32) - 6, order) + data[8:])
    with pytest.raises(BrokenImage, match="a tag points beyond its end"):
        Directory.read(file((256, 1, 5, at((1 << 32) - 8, order)), order=order))


def test_reads_more_entries_than_signed_count_could_say():
    entries = b"".join(struct.pack("<HHII", tag, 1, 1, 0) for tag in range(1 << 15))
    data = file()[:8] + struct.pack("<H", 1 << 15) + entries + bytes(4)
    assert len(Directory.read(data).entries) == 1 << 15


def test_refuses_directory_that_is_cut_off():
    data = file((256, 3, 1, b"\1\0\0\0"), (257, 3, 1, b"\1\0\0\0"))
    Directory.read(data)
    for end in range(4, len(data)):
        with pytest.raises(BrokenImage, match="directory ends too early"):
            Directory.read(data[:end])


def test_refuses_tag_that_stands_twice():
    with pytest.raises(BrokenImage, match="it holds a tag twice"):
        Directory.read(file((256, 3, 1, bytes(4)), (256, 3, 1, bytes(4))))


def test_absent_tag_has_no_numbers_and_its_default():
    directory = Directory.read(file())
    assert directory.numbers(256) == ()
    assert (directory.number(256, 7), directory.number(256, 0)) == (7, 0)


@pytest.mark.parametrize("kind", [0, *sorted(set(SIZES) - {1, 3, 4, 13}), 14])
def test_error_names_tag_that_holds_no_whole_numbers(kind):
    directory = Directory(bytes(99), "<", {256: (kind, 1, 0)}, 0)
    with pytest.raises(BrokenImage, match="tag 256 has a wrong type"):
        directory.numbers(256)


@pytest.mark.parametrize("count", [0, 2])
def test_error_names_tag_that_needs_one_value(count):
    directory = Directory(bytes(99), "<", {256: (3, count, 0)}, 0)
    with pytest.raises(BrokenImage, match="tag 256 needs one value"):
        directory.number(256, 1)


def test_refuses_more_numbers_than_parts_of_real_image(most_parts):
    directory = Directory(bytes(999), "<", {1: (3, most_parts, 0), 2: (3, most_parts + 1, 0)}, 0)
    assert directory.numbers(1) == (0,) * most_parts
    with pytest.raises(BrokenImage, match="more parts than any real image"):
        directory.numbers(2)


@pytest.mark.parametrize("kind", sorted(SIZES))
def test_refuses_more_numbers_in_tag_than_any_real_image(kind):
    Directory(b"", "<", {1: (kind, 65_536, 0)}, 0).check_metadata()
    directory = Directory(b"", "<", {1: (kind, 65_537, 0)}, 0)
    if kind in TEXT:
        directory.check_metadata()
    else:
        with pytest.raises(BrokenImage, match="more metadata than any real image"):
            directory.check_metadata()


def test_refuses_more_metadata_than_any_real_image():
    text, numbers = (7, (1 << 26) - 80, 0), (5, 10, 0)
    Directory(b"", "<", {1: text, 2: numbers}, 0).check_metadata()
    with pytest.raises(BrokenImage, match="more metadata than any real image"):
        Directory(b"", "<", {1: text, 2: numbers, 3: (1, 1, 0)}, 0).check_metadata()
