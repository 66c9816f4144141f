import pytest

from pipeline.errors import BrokenImage
from pipeline.image.header.directory import Directory
from pipeline.image.header.tiff_blocks import Block, blocks, check_blocks, missing_bytes
from tests.tiffs import Page, tiff

Numbers = dict[int, tuple[int, ...]]

# Of 10 x 10 pixels in strips of 4 rows.
STRIPS: Numbers = {
    **{256: (10,), 257: (10,), 278: (4,), 258: (8,)},
    **{273: (1000, 1040, 1080), 279: (40, 40, 20)},
}
# Of 20 x 40 pixels in tiles of 16 x 16.
TILES: Numbers = {
    **{256: (20,), 257: (40,), 322: (16,), 323: (16,)},
    **{324: (8, 264, 520, 776, 1032, 1288), 325: (256,) * 6},
}


def directory(*numbers: Numbers, size: int = 2000) -> Directory:
    """Return the directory of an image with these tags, in a file of `size` bytes."""
    tags = {tag: (4, values) for part in numbers for tag, values in part.items()}
    return Directory.read(tiff(Page(tags)).ljust(size, b"\0"))


def test_strips_have_rows_of_picture():
    assert blocks(directory(STRIPS)) == [
        Block(1000, 1040, 10, 4),
        Block(1040, 1080, 10, 4),
        Block(1080, 1100, 10, 2),
    ]


@pytest.mark.parametrize("rows", [{}, {278: (10,)}, {278: (1 << 31,)}])
def test_one_strip_holds_all_rows(rows):
    size: Numbers = {256: (10,), 257: (10,), 273: (8,), 279: (100,)}
    assert blocks(directory(size, rows)) == [Block(8, 108, 10, 10)]


def test_tiles_have_all_their_rows():
    assert [(tile.width, tile.rows) for tile in blocks(directory(TILES))] == [(16, 16)] * 6
    assert blocks(directory(TILES))[4] == Block(1032, 1288, 16, 16)


def test_tiles_come_before_strips():
    assert len(blocks(directory(STRIPS, TILES))) == 6


@pytest.mark.parametrize(("planar", "planes"), [(1, 1), (2, 3)])
def test_planes_have_strips_each(planar, planes):
    places: Numbers = {273: (8,) * 3 * planes, 279: (40,) * 3 * planes}
    image = directory(STRIPS, places, {277: (3,), 284: (planar,)})
    assert [block.rows for block in blocks(image)] == [4, 4, 2] * planes


def test_planes_of_image_without_samples_are_one():
    assert len(blocks(directory(STRIPS, {284: (2,)}))) == 3


@pytest.mark.parametrize(
    "change",
    [
        {273: (8, 48)},
        {279: (40, 40)},
        {273: (8, 48), 279: (40, 40)},
        {273: (8,) * 4, 279: (40,) * 4},
    ],
)
def test_error_says_that_strips_are_missing(change):
    with pytest.raises(BrokenImage, match="parts of its pixel data are missing"):
        blocks(directory(STRIPS, change))


def test_error_says_that_picture_without_columns_has_no_tiles():
    with pytest.raises(BrokenImage, match="parts of its pixel data are missing"):
        blocks(directory(TILES, {256: (0,), 324: (), 325: ()}))


@pytest.mark.parametrize("tag", [256, 257, 278])
def test_error_says_that_strips_have_no_size(tag):
    with pytest.raises(BrokenImage, match="strips or tiles have no size"):
        blocks(directory(STRIPS, {tag: (0,)}))


def test_strip_of_one_pixel_is_read():
    size: Numbers = {256: (1,), 257: (1,), 278: (1,)}
    assert blocks(directory(size, {273: (8,), 279: (1,)})) == [Block(8, 9, 1, 1)]


@pytest.mark.parametrize("tag", [322, 323])
@pytest.mark.parametrize("is_absent", [True, False])
def test_error_says_that_tiles_have_no_size(tag, is_absent):
    tags = TILES | {tag: (0,)}
    if is_absent:
        del tags[tag]
    with pytest.raises(BrokenImage, match="strips or tiles have no size"):
        blocks(directory(tags))


@pytest.mark.parametrize("tag", [256, 257])
def test_error_says_that_image_without_size_has_no_strips(tag):
    with pytest.raises(BrokenImage, match="strips or tiles have no size"):
        blocks(directory({key: values for key, values in STRIPS.items() if key != tag}))


def test_refuses_more_blocks_than_real_images_have(most_parts):
    tiles: Numbers = {322: (1,), 323: (1,), 324: (8,), 325: (1,), 277: (5,), 284: (2,)}
    with pytest.raises(BrokenImage, match="are missing"):
        blocks(directory(tiles, {256: (4,), 257: (5,)}))  # 5 planes of 20 tiles
    with pytest.raises(BrokenImage, match="more parts than any real image"):
        blocks(directory(tiles, {256: (3,), 257: (7,)}))
    # The last strip of each plane has one row of three.
    with pytest.raises(BrokenImage, match="more parts than any real image"):
        blocks(directory(STRIPS, {277: (3,), 284: (2,), 257: (100,), 278: (3,)}))


@pytest.mark.parametrize(("size", "missing"), [(1101, 0), (1100, 0), (1099, 1), (1039, 61)])
def test_missing_bytes_are_those_behind_end_of_file(size, missing):
    assert missing_bytes(directory(STRIPS, size=size)) == missing


CUT_OFF = "its pixel data ends too early"


def test_uncompressed_strips_need_a_byte_for_each_sample():
    check_blocks(directory(STRIPS))
    for lengths in [(39, 40, 20), (40, 39, 20), (40, 40, 19)]:
        with pytest.raises(BrokenImage, match=CUT_OFF):
            check_blocks(directory(STRIPS, {279: lengths}))
    check_blocks(directory(STRIPS, {279: (41, 99, 21)}))


@pytest.mark.parametrize(
    ("layout", "row"),
    [
        ({258: (16,)}, 20),
        ({258: (1,)}, 2),
        ({258: (4,), 277: (1,)}, 5),
        ({258: (8, 8, 8), 277: (3,)}, 30),
        ({258: (16, 16, 16), 277: (3,), 284: (1,)}, 60),
        ({258: (1,), 256: (8,)}, 1),
        ({258: (1,), 256: (9,)}, 2),
        ({258: (1,), 277: (3,), 256: (9,)}, 4),
    ],
)
def test_rows_of_uncompressed_strip_are_whole_bytes(layout, row):
    check_blocks(directory(STRIPS, layout, {279: (4 * row, 4 * row, 2 * row)}))
    with pytest.raises(BrokenImage, match=CUT_OFF):
        check_blocks(directory(STRIPS, layout, {279: (4 * row - 1, 4 * row, 2 * row)}))


def test_strips_of_planes_hold_one_sample_a_pixel():
    starts = tuple(range(1000, 1360, 40))
    planes: Numbers = {277: (3,), 284: (2,), 273: starts, 279: (40, 40, 20) * 3}
    check_blocks(directory(STRIPS, planes))
    with pytest.raises(BrokenImage, match=CUT_OFF):
        check_blocks(directory(STRIPS, planes, {279: (40, 40, 20) * 2 + (40, 39, 20)}))


def test_pixel_without_bits_per_sample_has_one_bit():
    tags = {tag: values for tag, values in STRIPS.items() if tag != 258}
    check_blocks(directory(tags, {279: (8, 8, 4)}))
    with pytest.raises(BrokenImage, match=CUT_OFF):
        check_blocks(directory(tags, {279: (8, 8, 3)}))


def test_tiles_need_all_their_pixels():
    check_blocks(directory(TILES, {258: (8,)}))
    with pytest.raises(BrokenImage, match=CUT_OFF):
        check_blocks(directory(TILES, {258: (8,), 325: (256,) * 5 + (255,)}))


@pytest.mark.parametrize("compression", [5, 7, 8])
def test_compressed_strips_need_one_byte(compression):
    check_blocks(directory(STRIPS, {259: (compression,), 279: (1, 1, 1)}))
    check_blocks(directory(STRIPS, {259: (compression,)}, size=1100))
    with pytest.raises(BrokenImage, match=CUT_OFF):
        check_blocks(directory(STRIPS, {259: (compression,)}, size=1099))


@pytest.mark.parametrize("lengths", [(0, 40, 20), (40, 0, 20), (40, 40, 0)])
@pytest.mark.parametrize("compression", [1, 5])
def test_error_says_that_empty_strip_is_missing(lengths, compression):
    with pytest.raises(BrokenImage, match="parts of its pixel data are missing"):
        check_blocks(directory(STRIPS, {259: (compression,), 279: lengths}))


def test_refuses_strip_within_header_of_file():
    check_blocks(directory(STRIPS, {273: (1000, 8, 1080)}))
    with pytest.raises(BrokenImage, match=CUT_OFF):
        check_blocks(directory(STRIPS, {273: (1000, 7, 1080)}))


def test_refuses_pixels_behind_end_of_file():
    check_blocks(directory(STRIPS, size=1100))
    with pytest.raises(BrokenImage, match=CUT_OFF):
        check_blocks(directory(STRIPS, {279: (40, 40, 41)}, size=1099))


@pytest.mark.parametrize(("length", "is_read"), [(20, True), (41, True), (42, False)])
def test_last_strip_may_count_rows_that_picture_lacks(length, is_read):
    image = directory(STRIPS, {279: (40, 40, length)}, size=1100)
    if is_read:
        check_blocks(image)
    else:
        with pytest.raises(BrokenImage, match=CUT_OFF):
            check_blocks(image)


@pytest.mark.parametrize(("length", "is_read"), [(40, True), (41, True), (42, False)])
def test_strip_with_all_rows_may_count_one_byte_more(length, is_read):
    places: Numbers = {257: (4,), 273: (1000,), 279: (length,)}
    image = directory(STRIPS, places, size=1040)
    if is_read:
        check_blocks(image)
    else:
        with pytest.raises(BrokenImage, match=CUT_OFF):
            check_blocks(image)
