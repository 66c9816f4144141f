"""What is read from the header of a TIFF file; `tests/unit/pipeline/image/test_tiff.py` compares
the pixels."""

import struct

import numpy as np
import pytest

from pipeline.errors import BrokenImage, ImageTooLarge, UnsupportedImage
from pipeline.image.header.tiff import read_size
from pipeline.image.limits import ImageLimits
from tests.tiffs import Page, page, tiff

WIDTH, HEIGHT = 10, 8
GREY = np.zeros((HEIGHT, WIDTH), np.uint8)
SMALL = GREY[:4, :4]
Change = tuple[int, tuple[int, ...]] | None


def grey(**changes: Change) -> Page:
    return page(GREY, **changes)


def read(*pages: Page, limits: ImageLimits | None = None, **options: object) -> tuple[int, int]:
    return read_size(tiff(*pages, **options), limits or ImageLimits(min_side=1))


def samples(number: int, dtype: str = "u1", **changes: Change) -> Page:
    """Return a page of pixels of so many samples."""
    return page(np.zeros((HEIGHT, WIDTH, number), dtype), **changes)


@pytest.mark.parametrize("order", "<>")
def test_reads_size_in_either_order(order):
    assert read(page(GREY, order), order=order) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("tag", ["t256", "t257"])
def test_image_without_side_has_no_pixels(tag):
    with pytest.raises(BrokenImage, match="has no pixels: a side of it is 0"):
        read(grey(**{tag: None}))


def test_refuses_more_pixels_than_are_accepted():
    assert read(grey(), limits=ImageLimits(max_pixels=80)) == (WIDTH, HEIGHT)
    with pytest.raises(ImageTooLarge, match="10 x 8 pixels; at most 79"):
        read(grey(), limits=ImageLimits(max_pixels=79))


def tiled(across: int, down: int) -> Page:
    """Return a page of one tile, which is larger than the picture."""
    places: dict[str, Change] = {
        **{"t322": (4, (across,)), "t323": (4, (down,)), "t278": None},
        **{"t324": (4, (8,)), "t325": (4, (across * down,))},
    }
    return Page(grey(**places).tags)


def test_refuses_tiles_with_more_pixels_than_are_accepted():
    before = bytes(16 * 32)
    assert read(tiled(16, 32), before=before, limits=ImageLimits(max_pixels=512)) == (10, 8)
    with pytest.raises(ImageTooLarge, match="has tiles of more than 511 pixels"):
        read(tiled(16, 32), before=before, limits=ImageLimits(max_pixels=511))


@pytest.mark.parametrize("tag", [322, 323])
def test_tile_without_side_is_not_too_large(tag):
    written = tiled(16, 32)
    written.tags |= {322: (4, (1 << 30,)), 323: (4, (1 << 30,))}
    del written.tags[tag]
    with pytest.raises(BrokenImage, match="have no size"):
        read(written)


class TestRawCameraFile:
    @pytest.mark.parametrize(
        "change",
        [
            {"t262": (3, (32803,))},
            {"t262": (3, (34892,))},
            *({"t259": (3, (code,))} for code in (32767, 32769, 32770, 34713, 65535)),
            {"t50706": (1, (1, 4, 0, 0))},
        ],
    )
    def test_is_refused_by_its_tags(self, change):
        with pytest.raises(UnsupportedImage, match="This is a raw camera file"):
            read(grey(**change))

    def test_is_refused_by_its_signature(self):
        with pytest.raises(UnsupportedImage, match="This is a raw camera file"):
            read(grey(), before=b"CR")
        assert read(grey(), before=b"CS") == (WIDTH, HEIGHT)
        assert read(grey(), before=b"\0\0CR") == (WIDTH, HEIGHT)

    @pytest.mark.parametrize(
        "part",
        [
            page(np.zeros((HEIGHT, WIDTH + 1), np.uint8)),
            page(np.zeros((HEIGHT + 1, WIDTH), np.uint8)),
            page(SMALL, t262=(3, (32803,))),
            page(SMALL, t262=(3, (34892,))),
        ],
        ids=["wider", "higher", "filter array", "linear raw"],
    )
    def test_is_refused_by_its_parts(self, part):
        for parts in ([part], [page(SMALL), part]):
            with pytest.raises(UnsupportedImage, match="This is a raw camera file"):
                read(Page(grey().tags, grey().strips, parts))

    @pytest.mark.parametrize(
        "part",
        [
            grey(),
            page(SMALL, t262=None),
            Page({256: (4, (1 << 20,))}),
            Page({257: (4, (1 << 20,))}),
            Page({}),
        ],
        ids=["equal size", "no colours", "no height", "no width", "no tags"],
    )
    def test_is_not_what_has_other_parts(self, part):
        assert read(Page(grey().tags, grey().strips, [part])) == (WIDTH, HEIGHT)


def test_refuses_more_parts_than_real_images_have():
    assert read(Page(grey().tags, grey().strips, [Page({})] * 64)) == (WIDTH, HEIGHT)
    with pytest.raises(BrokenImage, match="more directories than any real image"):
        read(Page(grey().tags, grey().strips, [Page({})] * 65))


@pytest.mark.parametrize(
    "kind",
    [*({"t254": (4, (flags,))} for flags in (1, 3, 4, 5, 6)), {"t255": (3, (2,))}],
)
def test_reduced_picture_or_mask_is_no_page(kind):
    assert read(grey(), grey(**kind)) == (WIDTH, HEIGHT)
    with pytest.raises(BrokenImage, match="begins with a reduced picture or a mask"):
        read(grey(**kind))


@pytest.mark.parametrize(
    "kind",
    [{}, *({"t254": (4, (flags,))} for flags in (0, 2, 8)), {"t255": (3, (1,))}],
)
def test_refuses_second_page(kind):
    assert read(grey(**kind)) == (WIDTH, HEIGHT)
    for pages in ([grey(**kind)], [grey(t254=(4, (1,))), grey(**kind)]):
        with pytest.raises(BrokenImage, match="several pages; one picture is needed"):
            read(grey(), *pages)


def test_refuses_longer_chain_than_real_images_have():
    reduced = Page({254: (4, (1,))})
    assert read(grey(), *[reduced] * 65) == (WIDTH, HEIGHT)
    with pytest.raises(BrokenImage, match="a circle or too long"):
        read(grey(), *[reduced] * 66)


def test_refuses_chain_that_leads_back():
    data = bytearray(tiff(grey(), Page({254: (4, (1,))})))
    second = len(data) - 18  # of 2 bytes, one entry and the link at the end
    struct.pack_into("<I", data, len(data) - 4, second)
    with pytest.raises(BrokenImage, match="a circle or too long"):
        read_size(bytes(data), ImageLimits())


@pytest.mark.parametrize("code", [1, 5, 7, 8, 32946, 32773])
def test_reads_accepted_compressions(code):
    assert read(grey(t259=(3, (code,)))) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        *[(2, "fax"), (3, "fax"), (4, "fax"), (6, "old-style JPEG"), (34712, "JPEG 2000")],
        *[(0, "compression 0"), (9, "compression 9")],
    ],
)
def test_error_names_compression_that_is_not_accepted(code, name):
    with pytest.raises(UnsupportedImage, match=f"is compressed with {name}; none, LZW"):
        read(grey(t259=(3, (code,))))


def test_image_without_compression_tag_has_none():
    assert read(grey(t259=None)) == (WIDTH, HEIGHT)


def test_reads_predictor_of_whole_numbers():
    for predictor in (1, 2):
        assert read(grey(t317=(3, (predictor,)))) == (WIDTH, HEIGHT)
    with pytest.raises(BrokenImage, match="predictor for floating-point"):
        read(grey(t317=(3, (3,))))


def test_refuses_bits_in_reverse_order():
    assert read(grey(t266=(3, (1,)))) == (WIDTH, HEIGHT)
    with pytest.raises(BrokenImage, match="FillOrder 2"):
        read(grey(t266=(3, (2,))))


# By photometric interpretation and samples: the bits of a sample.
ACCEPTED = {
    **{(0, 1): (1, 2, 4, 8, 16), (1, 1): (1, 2, 4, 8, 16), (1, 2): (8,), (2, 3): (8, 16)},
    **{(2, 4): (8, 16), (3, 1): (1, 2, 4, 8), (5, 4): (8,), (6, 3): (8,)},
}
LAYOUTS = [
    (kind, number, bits)
    for kind in range(8)
    for number in range(1, 6)
    for bits in (1, 2, 4, 8, 16, 32)
]


@pytest.mark.parametrize(("kind", "number"), {layout[:2]: None for layout in LAYOUTS})
def test_reads_accepted_colours_with_their_bits_only(kind, number):
    for bits in (1, 2, 4, 8, 16, 32):
        changes: dict[str, Change] = {"t262": (3, (kind,)), "t258": (3, (bits,) * number)}
        if (kind, number) in [(1, 2), (2, 4)]:
            changes["t338"] = (3, (2,))
        if kind == 6:
            changes["t259"] = (3, (7,))
        written = samples(number, "u4", **changes)
        if bits in ACCEPTED.get((kind, number), ()):
            assert read(written) == (WIDTH, HEIGHT)
        else:
            with pytest.raises(BrokenImage):
                read(written)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"t262": (3, (4,))}, "holds a transparency mask; grey, RGB, palette and CMYK"),
        ({"t262": (3, (8,))}, "holds CIELAB colours; grey"),
        ({"t262": (3, (7,))}, "holds photometric interpretation 7; grey"),
        (
            {"t262": None},
            r"holds colours of unknown meaning \(no PhotometricInterpretation\); grey",
        ),
        ({"t339": (3, (2,))}, "floating-point or signed samples"),
        ({"t339": (3, (1, 3))}, "floating-point or signed samples"),
        ({"t258": (3, (8, 8))}, "samples of different numbers of bits"),
        ({"t277": (3, (2,)), "t258": (3, (8, 16))}, "samples of different numbers of bits"),
        ({"t277": (3, (3,))}, "has 3 samples per pixel; grey"),
        ({"t258": (3, (32,))}, "has 32 bits per sample; 8 or 16 are needed"),
        ({"t258": None, "t262": (3, (5,)), "t277": (3, (4,))}, "has 1 bits per sample"),
        ({"t32997": (4, (2,))}, "several slices in one page"),
        ({"t32998": (4, (2,))}, "several slices in one page"),
    ],
)
def test_error_names_layout_that_is_not_accepted(change, words):
    with pytest.raises(BrokenImage, match=words):
        read(grey(**change))


def test_absent_tags_have_their_defaults():
    one_bit = page(GREY, **{"t258": None, "t277": None, "t278": None, "t259": None})
    assert read(one_bit) == (WIDTH, HEIGHT)
    assert read(grey(t339=(3, (1,)), t32997=(4, (1,)), t284=(3, (1,)))) == (WIDTH, HEIGHT)


def test_one_number_of_bits_stands_for_all_samples():
    assert read(samples(3, t258=(3, (8,)))) == (WIDTH, HEIGHT)


def test_reads_planes_of_8_bits_only():
    assert read(grey(t284=(3, (2,)))) == (WIDTH, HEIGHT)
    places = {"t284": (3, (2,)), "t273": (4, (8,) * 3), "t279": (4, (160,) * 3)}
    before = bytes(160)
    assert read(Page(samples(3, **places).tags), before=before) == (WIDTH, HEIGHT)
    with pytest.raises(BrokenImage, match="stores 16-bit samples in separate planes"):
        read(Page(samples(3, "u2", **places).tags), before=before)


@pytest.mark.parametrize(
    "written",
    [
        samples(3, t262=(3, (6,))),
        samples(3, "u2", t259=(3, (7,))),
        page(GREY.astype("u2"), t259=(3, (7,))),
    ],
)
def test_refuses_ycbcr_without_jpeg_and_jpeg_of_other_bits(written):
    with pytest.raises(BrokenImage, match="YCbCr colours without JPEG compression, or JPEG of"):
        read(written)


@pytest.mark.parametrize(
    ("number", "extra"), [(1, ()), (2, (0,)), (2, (2,)), (3, ()), (4, ()), (4, (0,)), (4, (1,))]
)
def test_reads_extra_samples_that_are_described(number, extra):
    written = samples(number, t338=(3, extra) if extra else None, t262=(3, (1 + (number > 2),)))
    assert read(written) == (WIDTH, HEIGHT)


@pytest.mark.parametrize(
    ("number", "extra", "words"),
    [
        (1, (0,), "describes 1 extra samples per pixel and has 0"),
        (2, (), "describes 0 extra samples per pixel and has 1"),
        (2, (1,), "grey premultiplied with its transparency"),
        (2, (1, 1), "describes 2 extra samples per pixel and has 1"),
        (3, (0,), "describes 1 extra samples per pixel and has 0"),
        (4, (0, 0), "describes 2 extra samples per pixel and has 1"),
    ],
)
def test_error_names_extra_samples_that_are_not_accepted(number, extra, words):
    changes = {"t338": (3, extra) if extra else None, "t262": (3, (1 + (number > 2),))}
    with pytest.raises(BrokenImage, match=words):
        read(samples(number, **changes))


def test_cmyk_has_no_extra_samples():
    assert read(samples(4, t262=(3, (5,)))) == (WIDTH, HEIGHT)
    with pytest.raises(BrokenImage, match="describes 1 extra samples per pixel and has 0"):
        read(samples(4, t262=(3, (5,)), t338=(3, (0,))))


def test_metadata_and_strips_are_checked():
    with pytest.raises(BrokenImage, match="more metadata than any real image"):
        read(grey(t42112=(3, (0,) * 65_537)))
    with pytest.raises(BrokenImage, match="its pixel data ends too early"):
        read(grey(t279=(4, (79,))))
