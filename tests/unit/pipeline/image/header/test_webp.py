import struct

import pytest

from pipeline.errors import BrokenImage, ImageTooLarge
from pipeline.image.header.webp import is_animation, picture_alone, read_size
from pipeline.image.limits import DEFAULT_LIMITS, ImageLimits


def part(kind: bytes, content: bytes) -> bytes:
    return kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def webp(*parts: bytes) -> bytes:
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def lossy(width: int = 10, height: int = 8, pixels: bytes = b"pixels") -> bytes:
    """Return the chunk of a VP8 picture; the upper bits of its sides are for scaling."""
    sides = struct.pack("<HH", width | 0x4000, height | 0x8000)
    return part(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + sides + pixels)


def lossless(width: int = 10, height: int = 8, pixels: bytes = b"pixels") -> bytes:
    """Return the chunk of a VP8L picture; the bits above its sides are for transparency."""
    bits = (width - 1) | (height - 1) << 14 | 1 << 28
    return part(b"VP8L", b"\x2f" + struct.pack("<I", bits) + pixels)


def canvas(width: int = 10, height: int = 8, flags: int = 0) -> bytes:
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return part(b"VP8X", bytes([flags, 0, 0, 0]) + sides)


def frame(*parts: bytes) -> bytes:
    return part(b"ANMF", bytes(16) + b"".join(parts))


def read(data: bytes) -> tuple[int, int]:
    return read_size(data, DEFAULT_LIMITS)


@pytest.mark.parametrize("size", [(8, 9), (255, 300), (16_383, 400), (400, 16_383)])
@pytest.mark.parametrize("picture", [lossy, lossless])
def test_reads_the_size_of_a_picture(picture, size: tuple[int, int]):
    assert read(webp(picture(*size))) == size


@pytest.mark.parametrize("size", [(8, 9), (255, 300), (65_536, 1400), (1400, 65_536)])
def test_reads_the_size_of_a_canvas(size: tuple[int, int]):
    limits = ImageLimits(max_pixels=100_000_000)
    assert read_size(webp(canvas(*size), lossy()), limits) == size


def test_refuses_more_pixels_than_are_accepted():
    with pytest.raises(ImageTooLarge):
        read_size(webp(lossy()), ImageLimits(max_pixels=79))


@pytest.mark.parametrize("data", [webp(lossy()), webp(canvas(), lossy()), webp(lossless())])
@pytest.mark.parametrize("missing", [1, 2, 100])
def test_refuses_a_file_that_is_cut_off(data: bytes, missing: int):
    data = data if missing < 100 else data[:24]
    with pytest.raises(BrokenImage, match="The WebP image is cut off"):
        read(data[:-missing] if missing < 100 else data)


@pytest.mark.parametrize("picture", [lossy(), canvas(), lossless()])
def test_refuses_header_that_is_cut_off(picture: bytes):
    # The header of a lossless picture is the shortest.
    for length in range(12, 25 if picture.startswith(b"VP8L") else 30):
        with pytest.raises(BrokenImage, match="The WebP image is cut off"):
            read(webp(picture)[:length])


def test_reads_the_shortest_files():
    smallest = webp(lossless(pixels=b""))[:25]
    data = smallest[:4] + struct.pack("<I", 17) + smallest[8:]
    assert read(data) == (10, 8)
    assert read(webp(lossy(pixels=b""))) == (10, 8)


def test_looks_at_nothing_behind_the_end():
    assert read(webp(lossy()) + frame() * 2) == (10, 8)


def test_refuses_several_frames():
    assert read(webp(canvas(), frame(lossy()))) == (10, 8)
    with pytest.raises(BrokenImage, match="animated; one still picture is needed"):
        read(webp(canvas(), frame(lossy()), frame(lossy())))


def test_finds_frames_behind_chunks_of_odd_length():
    odd = part(b"JUNK", b"odd")
    with pytest.raises(BrokenImage, match="animated"):
        read(webp(canvas(), odd, frame(lossy()), odd, frame(lossy())))


def test_refuses_more_exif_than_real_images_have():
    assert read(webp(lossy(), part(b"EXIF", bytes(256 * 1024)))) == (10, 8)
    assert read(webp(lossy(), part(b"XMP ", bytes(256 * 1024 + 1)))) == (10, 8)
    with pytest.raises(BrokenImage, match="262145 bytes of Exif"):
        read(webp(lossy(), part(b"EXIF", bytes(256 * 1024 + 1))))


def test_refuses_more_parts_than_real_images_have(most_parts: int):
    assert read(webp(lossy(), part(b"JUNK", b"") * most_parts)) == (10, 8)
    with pytest.raises(BrokenImage, match="more parts"):
        read(webp(lossy(), part(b"JUNK", b"") * (most_parts + 1)))


@pytest.mark.parametrize(
    "picture",
    [
        lossy().replace(b"\x9d\x01\x2a", b"\x9d\x01\x2b"),
        lossy(0, 8),
        lossy(10, 0),
        lossless().replace(b"\x2f", b"\x2e"),
        part(b"VP9 ", bytes(40)),
    ],
    ids=["start code", "no width", "no height", "signature", "another codec"],
)
def test_error_says_that_picture_has_no_header(picture: bytes):
    with pytest.raises(BrokenImage, match="has no header"):
        read(webp(picture))


def test_animation_is_what_its_flag_says():
    assert is_animation(webp(canvas(flags=0x02), frame(lossy())))
    assert is_animation(webp(canvas(flags=0x3E), frame(lossy())))
    assert not is_animation(webp(canvas(flags=0x3D), lossy()))
    assert not is_animation(webp(lossy().replace(b"\0\0\0\x9d", b"\x02\0\0\x9d")))


def alone(picture: bytes, width: int, height: int) -> bytes:
    return webp(canvas(width, height), picture)


@pytest.mark.parametrize("picture", [lossy(300, 9), lossless(300, 9), lossy(300, 9, b"odd")])
@pytest.mark.parametrize("around", [lambda x: (x,), lambda x: (canvas(), x, part(b"EXIF", b"x"))])
def test_picture_alone_is_without_what_is_around_it(picture: bytes, around):
    assert picture_alone(webp(*around(picture))) == alone(picture, 300, 9)


def test_picture_alone_is_found_behind_its_transparency():
    animation = webp(canvas(), part(b"ANIM", bytes(6)), frame(part(b"ALPH", b"odd"), lossy(30, 9)))
    assert picture_alone(animation) == alone(lossy(30, 9), 30, 9)


def test_picture_alone_is_not_looked_for_in_metadata():
    metadata = part(b"EXIF", bytes(16) + lossy(30, 9))
    assert picture_alone(webp(canvas(), metadata, lossy(40, 9))) == alone(lossy(40, 9), 40, 9)


def test_picture_alone_is_the_first():
    data = webp(canvas(), frame(lossy(30, 9)), frame(lossy(40, 9)))
    assert picture_alone(data) == alone(lossy(30, 9), 30, 9)


@pytest.mark.parametrize("less", [1, 2, 6])
def test_picture_alone_may_lack_its_last_bytes(less: int):
    short = lossy(30, 9, b"pixels"[: 6 - less])
    assert picture_alone(webp(lossy(30, 9)), less) == alone(short, 30, 9)


def test_picture_alone_lacks_no_more_than_it_has():
    empty = part(b"VP8 ", b"")
    assert picture_alone(webp(lossy(30, 9)), 100) == alone(empty, 30, 9)


def test_picture_alone_ends_with_the_file():
    data = webp(lossy(30, 9)) + b"more"
    longer = bytearray(data)
    struct.pack_into("<I", longer, 16, 1000)
    assert picture_alone(bytes(longer)) == alone(lossy(30, 9), 30, 9)


@pytest.mark.parametrize("parts", [(), (canvas(),), (canvas(), frame()), (part(b"ALPH", b"x"),)])
def test_error_says_that_file_has_no_picture(parts: tuple[bytes, ...]):
    with pytest.raises(BrokenImage, match="has no picture"):
        picture_alone(webp(*parts))
