import struct

import pytest

from pipeline.errors import BrokenImage, ImageTooLarge, UnsupportedImage
from pipeline.image.header.jpeg import read_frame, read_size, without_oddities
from pipeline.image.limits import DEFAULT_LIMITS, ImageLimits
from tests.jpegs import segment

SOI, EOI = b"\xff\xd8", b"\xff\xd9"
BASELINE, PROGRESSIVE = 0xC0, 0xC2


def frame(
    marker: int = BASELINE,
    width: int = 10,
    height: int = 8,
    *,
    precision: int = 8,
    factors: tuple[int, ...] = (0x22, 0x11, 0x11),
    components: tuple[int, ...] = (1, 2, 3, 4),
) -> bytes:
    """Return a frame header with a component for each sampling factor."""
    content = struct.pack(">BHHB", precision, height, width, len(factors))
    for component, factor in zip(components, factors, strict=False):
        content += bytes([component, factor, 0])
    return segment(marker, content)


def scan(
    *components: int, first: int = 0, last: int = 63, bits: int = 0, pixels: bytes = b"\1\2"
) -> bytes:
    tables = b"".join(bytes([component, 0]) for component in components)
    return segment(0xDA, bytes([len(components)]) + tables + bytes([first, last, bits])) + pixels


def jpeg(*parts: bytes) -> bytes:
    return SOI + b"".join(parts) + EOI


WHOLE = jpeg(frame(), scan(1, 2, 3))


def read(data: bytes, limits: ImageLimits = DEFAULT_LIMITS) -> tuple[int, int]:
    return read_size(data, limits)


@pytest.mark.parametrize("marker", [0xC0, 0xC1, 0xC2])
def test_reads_the_size(marker: int):
    assert read(jpeg(frame(marker, 1000, 300), scan(1, 2, 3))) == (1000, 300)


@pytest.mark.parametrize("size", [(65_535, 700), (700, 65_535)])
def test_reads_longest_sides(size: tuple[int, int]):
    data = jpeg(frame(BASELINE, *size), scan(1, 2, 3))
    assert read(data, ImageLimits(max_aspect=100)) == size


def test_refuses_more_pixels_than_are_accepted():
    with pytest.raises(ImageTooLarge):
        read(WHOLE, ImageLimits(max_pixels=79))


@pytest.mark.parametrize(
    ("markers", "name"),
    [
        ((0xC3, 0xC7, 0xCB, 0xCF), "lossless"),
        ((0xC9, 0xCA, 0xCD, 0xCE), "arithmetic-coded"),
        ((0xC5, 0xC6), "hierarchical"),
    ],
)
def test_error_names_coding_that_is_not_read(markers: tuple[int, ...], name: str):
    for marker in markers:
        with pytest.raises(UnsupportedImage, match=f"JPEG image is {name}; ordinary baseline"):
            read(jpeg(frame(marker), scan(1, 2, 3)))


@pytest.mark.parametrize("marker", [0xC4, 0xC8, 0xCC])
def test_takes_no_table_for_a_frame(marker: int):
    assert read(jpeg(segment(marker, b"\0"), frame(), scan(1, 2, 3))) == (10, 8)


def test_error_names_precision_that_is_not_read():
    with pytest.raises(BrokenImage, match="12 bits per sample; 8 are needed"):
        read(jpeg(frame(precision=12), scan(1, 2, 3)))


@pytest.mark.parametrize("count", [0, 2, 5])
def test_error_names_number_of_components_that_is_not_read(count: int):
    with pytest.raises(BrokenImage, match=f"has {count} components; 1"):
        read(jpeg(frame(factors=(0x11,) * count, components=tuple(range(count)))))


@pytest.mark.parametrize(
    "factors",
    [
        *((first, 0x11, 0x11) for first in (0x11, 0x21, 0x12, 0x22, 0x41, 0x14)),
        *((0x22, other, other) for other in (0x12, 0x21, 0x22)),
        (0x11, 0x11, 0x11, 0x11),
        (0x22, 0x11, 0x11, 0x22),
        (0x31,),
    ],
)
def test_reads_a_common_chroma_sampling(factors: tuple[int, ...]):
    components = tuple(range(1, len(factors) + 1))
    assert read(jpeg(frame(factors=factors), scan(*components))) == (10, 8)


@pytest.mark.parametrize(
    "factors",
    [
        (0x22, 0x11, 0x21),
        (0x31, 0x11, 0x11),
        (0x21, 0x12, 0x12),
        (0x12, 0x21, 0x21),
        (0x22, 0x41, 0x41),
        (0x41, 0x21, 0x21),
        (0x22, 0x11, 0x11, 0x11),
        (0x11, 0x11, 0x11, 0x22),
    ],
)
def test_error_names_unusual_chroma_sampling(factors: tuple[int, ...]):
    with pytest.raises(UnsupportedImage, match="of an unusual chroma sampling"):
        read(jpeg(frame(factors=factors)))


@pytest.mark.parametrize(
    "header",
    [
        frame(components=(1, 2, 2)),
        segment(BASELINE, frame()[4:] + b"\0"),
        segment(BASELINE, frame()[4:-1]),
    ],
    ids=["a component twice", "too long", "too short"],
)
def test_error_says_that_frame_header_is_damaged(header: bytes):
    with pytest.raises(BrokenImage, match="header of the JPEG image is damaged"):
        read(jpeg(header, scan(1, 2, 3)))


def test_rejects_frame_header_without_its_numbers():
    with pytest.raises(BrokenImage, match="The JPEG image is cut off"):
        read(jpeg(segment(BASELINE, bytes(5))))
    with pytest.raises(BrokenImage, match="side of it is 0"):
        read(jpeg(segment(BASELINE, bytes(6))))


def test_error_says_that_there_are_two_frames_or_none():
    with pytest.raises(BrokenImage, match="has two frame headers"):
        read(jpeg(frame(), frame(), scan(1, 2, 3)))
    with pytest.raises(BrokenImage, match="has no frame header"):
        read(jpeg(scan(1, 2, 3), frame()))


@pytest.mark.parametrize("data", [jpeg(), jpeg(frame()), jpeg(segment(0xE0, b"x"))])
def test_error_says_that_file_has_no_pixels(data: bytes):
    with pytest.raises(BrokenImage, match="has no pixel data"):
        read(data)


@pytest.mark.parametrize("length", range(2, len(WHOLE)))
def test_refuses_a_file_that_is_cut_off(length: int):
    with pytest.raises(BrokenImage, match="The JPEG image is cut off before its end"):
        read(WHOLE[:length])


@pytest.mark.parametrize("length", [0, 1])
def test_refuses_a_segment_shorter_than_its_length(length: int):
    data = jpeg(b"\xff\xe0" + struct.pack(">H", length), frame(), scan(1, 2, 3))
    with pytest.raises(BrokenImage, match="The JPEG image is cut off before its end"):
        read(data)


def test_looks_at_nothing_behind_the_end():
    assert read(WHOLE + frame()) == (10, 8)


def test_passes_over_escapes_and_restarts_in_pixels():
    pixels = b"\xff\0\xff\xd0\xff\xd7\xff\xff\xff\1\xff\xd8"
    assert read(jpeg(frame(), scan(1, 2, 3, pixels=pixels))) == (10, 8)


EXIF = b"Exif\0\0"


def test_adds_up_exif_of_all_segments():
    def data(size: int, prefix: bytes = EXIF) -> bytes:
        part = segment(0xE1, prefix + bytes(65_530 - len(prefix)))
        last = segment(0xE1, prefix + bytes(size - len(prefix)))
        return jpeg(part * 4, last, frame(), scan(1, 2, 3))

    assert read(data(256 * 1024 - 4 * 65_530)) == (10, 8)
    assert read(data(1000, b"http://")) == (10, 8)
    with pytest.raises(BrokenImage, match="262145 bytes of Exif metadata"):
        read(data(256 * 1024 - 4 * 65_530 + 1))


def test_counts_segments_and_the_bytes_between_them(most_parts: int):
    comment = segment(0xFE, b"")
    rest = (frame(), scan(1, 2, 3))
    others = 3  # a frame, a scan and the end are parts, too
    assert read(jpeg(comment * (most_parts - others), *rest)) == (10, 8)
    assert read(jpeg(bytes(most_parts - others), *rest)) == (10, 8)
    assert read(jpeg(frame(), scan(1, 2, 3, pixels=bytes(2 * most_parts)))) == (10, 8)
    for parts in (
        comment * (most_parts - others + 1),
        bytes(most_parts - others + 1),
        comment + bytes(most_parts - others),
    ):
        with pytest.raises(BrokenImage, match="more parts"):
            read(jpeg(parts, *rest))


class TestScans:
    def test_baseline_needs_each_component_once(self):
        assert read(jpeg(frame(), scan(1), scan(2), scan(3))) == (10, 8)
        assert read(jpeg(frame(), scan(2, 3), scan(1))) == (10, 8)
        with pytest.raises(BrokenImage, match="scans of it are missing"):
            read(jpeg(frame(), scan(1), scan(3)))

    def test_baseline_bounds_are_ignored(self):
        assert read(jpeg(frame(), scan(1, 2, 3, first=64, last=5, bits=0x11))) == (10, 8)

    @pytest.mark.parametrize(
        "missing",
        [
            {"first": 0, "last": 62},
            {"first": 1, "last": 63},
            {"first": 0, "last": 63, "bits": 1},
        ],
    )
    def test_progressive_needs_every_coefficient_to_its_last_bit(self, missing):
        with pytest.raises(BrokenImage, match="scans of it are missing"):
            read(jpeg(frame(PROGRESSIVE), scan(1, 2, 3, **missing)))

    def test_progressive_is_whole_after_its_refinements(self):
        parts = (scan(1, 2, 3, last=0, bits=1), scan(1, 2, 3, first=1, bits=2))
        refinements = (scan(1, 2, 3, last=0, bits=0x10), scan(1, 2, 3, first=1, bits=0x20))
        assert read(jpeg(frame(PROGRESSIVE), *parts, *refinements)) == (10, 8)

    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"\0\0\0\0",
            bytes([5, *[1, 0] * 5, 0, 63, 0]),
            bytes([1, 1, 0, 0, 63]),
            bytes([1, 1, 0, 0, 63, 0, 0]),
            bytes([1, 9, 0, 0, 63, 0]),
        ],
        ids=["empty", "none", "five", "short", "long", "unknown component"],
    )
    @pytest.mark.parametrize("marker", [BASELINE, PROGRESSIVE])
    def test_damaged_header_is_named(self, marker: int, header: bytes):
        with pytest.raises(BrokenImage, match="A scan header of the JPEG image is damaged"):
            read(jpeg(frame(marker), segment(0xDA, header)))

    @pytest.mark.parametrize("bounds", [{"first": 2, "last": 1}, {"first": 1, "last": 64}])
    def test_bounds_beyond_the_coefficients_are_named(self, bounds):
        with pytest.raises(BrokenImage, match="A scan header of the JPEG image is damaged"):
            read(jpeg(frame(PROGRESSIVE), scan(1, **bounds)))

    def test_four_components_are_one_scan(self):
        factors = (0x11, 0x11, 0x11, 0x11)
        assert read(jpeg(frame(factors=factors), scan(1, 2, 3, 4))) == (10, 8)

    def test_more_than_any_real_image_has_are_refused(self):
        assert read(jpeg(frame(), scan(1, 2, 3) * 64)) == (10, 8)
        with pytest.raises(BrokenImage, match="more scans than any real image"):
            read(jpeg(frame(), scan(1, 2, 3) * 65))

    def test_more_pixels_than_any_real_image_has_are_refused(self):
        large = frame(PROGRESSIVE, 10_000, 5000)
        assert read(jpeg(large, scan(1, 2, 3) * 8)) == (10_000, 5000)
        with pytest.raises(BrokenImage, match="more scans than any real image"):
            read(jpeg(large, scan(1, 2, 3) * 8, scan(1)))

    def test_they_are_counted_in_the_frame(self):
        result = read_frame(jpeg(frame(PROGRESSIVE), scan(1, 2), scan(1, 2, 3)), DEFAULT_LIMITS)
        assert (result.scans, result.scanned_pixels) == (2, 5 * 80)
        assert result.components == (1, 2, 3)
        assert result.progressive


class TestWithoutOddities:
    JFIF = segment(0xE0, b"JFIF\0\2\2rest")
    ADOBE = segment(0xEE, b"Adobe\0\x64\0\0\0\0\7more")

    def test_ordinary_file_stays_as_it_is(self):
        assert without_oddities(WHOLE) == WHOLE

    def test_metadata_and_bytes_between_segments_go(self):
        parts = (b"junk", segment(0xE1, EXIF), b"junk", segment(0xFE, b"x"), segment(0xEF, b"x"))
        assert without_oddities(jpeg(*parts, frame(), b"\0", scan(1, 2, 3))) == WHOLE

    @pytest.mark.parametrize("marker", [0xDB, 0xC4, 0xDD])
    def test_tables_stay(self, marker: int):
        data = jpeg(segment(marker, b"x"), frame(), scan(1, 2, 3))
        assert without_oddities(data) == data

    def test_pixels_and_what_follows_the_end_stay(self):
        data = jpeg(frame(), scan(1, pixels=b"\xff\0\xff\xd0a"), scan(2, 3, pixels=b"b")) + b"more"
        assert without_oddities(data) == data

    def test_file_without_a_frame_stays_as_it_is(self):
        data = jpeg(segment(0xFE, b"x"))
        assert without_oddities(data) == data

    def test_major_version_of_jfif_becomes_1(self):
        changed = segment(0xE0, b"JFIF\0\1\2rest")
        assert without_oddities(jpeg(self.JFIF, frame(), scan(1, 2, 3))) == jpeg(
            changed, frame(), scan(1, 2, 3)
        )

    def test_shortest_application_data_is_changed(self):
        def data(version: bytes, transform: bytes) -> bytes:
            jfif = segment(0xE0, b"JFIF\0" + version)
            adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0" + transform)
            return jpeg(jfif, adobe, frame(), scan(1, 2, 3))

        assert without_oddities(data(b"\2", b"\7")) == data(b"\1", b"\1")

    @pytest.mark.parametrize(
        "content", [b"JFIF\0", b"JFXX\0\2", b"", b"Adobe\0\x64\0\0\0\0", b"x" * 20]
    )
    @pytest.mark.parametrize("marker", [0xE0, 0xEE])
    def test_other_application_data_stays(self, marker: int, content: bytes):
        data = jpeg(segment(marker, content), frame(), scan(1, 2, 3))
        assert without_oddities(data) == data

    @pytest.mark.parametrize(
        ("factors", "transform", "expected"),
        [
            ((0x11, 0x11, 0x11), 7, 1),
            ((0x11, 0x11, 0x11), 2, 1),
            ((0x11, 0x11, 0x11), 1, 1),
            ((0x11, 0x11, 0x11), 0, 0),
            ((0x11, 0x11, 0x11, 0x11), 7, 2),
            ((0x11, 0x11, 0x11, 0x11), 1, 2),
            ((0x11, 0x11, 0x11, 0x11), 2, 2),
            ((0x11, 0x11, 0x11, 0x11), 0, 0),
        ],
    )
    def test_adobe_transform_becomes_one_that_exists(self, factors, transform, expected):
        def data(transform: int) -> bytes:
            adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0" + bytes([transform]) + b"more")
            return jpeg(adobe, frame(factors=factors), scan(1))

        assert without_oddities(data(transform)) == data(expected)

    def test_bounds_of_a_baseline_scan_become_the_whole(self):
        odd = jpeg(frame(), scan(1, 2, 3, first=1, last=5, bits=0x11))
        assert without_oddities(odd) == WHOLE
        progressive = odd.replace(b"\xff\xc0", b"\xff\xc2")
        assert without_oddities(progressive) == progressive

    def test_file_without_an_end_is_cut_off(self):
        with pytest.raises(BrokenImage, match="The JPEG image is cut off before its end"):
            without_oddities(WHOLE[:-2])
