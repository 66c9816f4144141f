import struct
import zlib

import pytest

from pipeline.errors import BrokenImage, ImageTooLarge
from pipeline.image.header.png import check_checksums, read_size
from pipeline.image.limits import DEFAULT_LIMITS, ImageLimits
from tests.images import chunk, corrupted, png


def read(data: bytes) -> tuple[int, int]:
    return read_size(data, DEFAULT_LIMITS)


def test_reads_the_size():
    assert read_size(png(70_000, 301), ImageLimits(max_aspect=300)) == (70_000, 301)


def test_looks_at_nothing_behind_the_end():
    check_checksums(png(8, 9) + b"junk")
    assert read(png(8, 9) + chunk(b"fdAT", b"")) == (8, 9)


@pytest.mark.parametrize("length", [8, 32, 33, 40, 41, 44])
def test_refuses_a_file_that_is_cut_off(length: int):
    data = png(8, 9)
    assert len(data) == 45
    with pytest.raises(BrokenImage, match="The PNG image is cut off"):
        read(data[:length])


def test_refuses_a_file_without_a_header():
    data = png(8, 9)
    for offset in (8, 11, 12, 15):
        with pytest.raises(BrokenImage, match="has no header"):
            read(corrupted(data, offset))


def test_refuses_frame_of_animation():
    with pytest.raises(BrokenImage, match="The PNG image is animated"):
        read(png(8, 9, chunk(b"fdAT", b"")))


def test_refuses_more_pixels_than_are_accepted():
    with pytest.raises(ImageTooLarge):
        read_size(png(10, 8), ImageLimits(max_pixels=79))


def test_refuses_more_exif_than_real_images_have():
    assert read(png(8, 9, chunk(b"eXIf", bytes(256 * 1024)))) == (8, 9)
    with pytest.raises(BrokenImage, match="bytes of Exif"):
        read(png(8, 9, chunk(b"eXIf", bytes(256 * 1024 + 1))))
    assert read(png(8, 9, chunk(b"tEXt", bytes(256 * 1024 + 1)))) == (8, 9)


def test_refuses_more_parts_than_real_images_have(most_parts: int):
    # The header is a part, too, and the end, which counts the parts before it.
    assert read(png(8, 9, chunk(b"IDAT", b"") * (most_parts - 1))) == (8, 9)
    with pytest.raises(BrokenImage, match="more parts"):
        read(png(8, 9, chunk(b"IDAT", b"") * most_parts))


COMPRESSED = (
    (b"zTXt", b"key\0\0text"),
    (b"iCCP", b"icc\0\0profile"),
    (b"iTXt", b"key\0\1\0\0\0text"),
    (b"iTXt", b"key\0\2\0\0\0text"),
    (b"iTXt", b"k\0\1"),
)


@pytest.mark.parametrize(("kind", "content"), COMPRESSED)
def test_refuses_more_than_64_compressed_texts(kind: bytes, content: bytes):
    text = chunk(kind, content)
    assert read(png(8, 9, text * 64)) == (8, 9)
    with pytest.raises(BrokenImage, match="expands beyond the limit"):
        read(png(8, 9, text * 65))


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (b"tEXt", b"key\0\1\0\0\0text"),
        (b"iTXt", b"key\0\0\0\0\0text"),
        (b"iTXt", b"no separator"),
        (b"iTXt", b"\0\0"),
        (b"iTXt", b"key\0"),
        (b"iTXt", b""),
    ],
)
def test_counts_no_text_that_is_not_compressed(kind: bytes, content: bytes):
    assert read(png(8, 9, chunk(kind, content) * 65)) == (8, 9)


def test_adds_up_texts_of_every_kind():
    parts = b"".join(chunk(*part) for part in COMPRESSED)
    assert read(png(8, 9, parts * 12)) == (8, 9)
    with pytest.raises(BrokenImage, match="expands beyond the limit"):
        read(png(8, 9, parts * 13))


@pytest.mark.parametrize("part", ["header", "content", "end"])
def test_error_says_that_checksum_is_wrong(part: str):
    data = png(8, 9, chunk(b"IDAT", zlib.compress(b"x")))
    check_checksums(data)
    offset = {"header": 29, "content": 42, "end": len(data) - 1}[part]
    with pytest.raises(BrokenImage, match="a checksum is wrong"):
        check_checksums(corrupted(data, offset))


def test_checksum_covers_the_type_of_a_chunk():
    data = png(8, 9, chunk(b"teXt", b"x"))
    with pytest.raises(BrokenImage, match="a checksum is wrong"):
        check_checksums(data.replace(b"teXt", b"tEXt"))


def test_refuses_a_chunk_that_ends_behind_the_file():
    data = bytearray(png(8, 9))
    struct.pack_into(">I", data, 33, 1)
    with pytest.raises(BrokenImage, match="The PNG image is cut off"):
        read(bytes(data))
