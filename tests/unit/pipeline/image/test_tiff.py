import itertools

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import BrokenImage, UnsupportedImage
from pipeline.image.decode import decode
from pipeline.image.inspect import inspect
from tests.images import HEIGHT, WIDTH, encoded, grey16, noise, picture
from tests.tiffs import Page, page, tiff

RGB16 = picture().astype(np.uint16) * 256 + 99
SMALL = picture()[::4, ::4]


def bgr(pixels: np.ndarray) -> np.ndarray:
    return decode(tiff(page(pixels))).pixels


def planes(pixels: np.ndarray, order: str = "<") -> Page:
    """Return a page whose samples are stored in separate planes."""
    written = page(pixels, order, t284=(3, (2,)))
    swapped = pixels.astype(pixels.dtype.newbyteorder(order))
    written.strips = [swapped[..., sample].tobytes() for sample in range(pixels.shape[2])]
    return written


@pytest.mark.parametrize("order", "<>")
def test_reads_8_bit_planes_like_interleaved_samples(order):
    assert np.array_equal(
        decode(tiff(planes(picture(), order), order=order)).pixels, bgr(picture())
    )


@pytest.mark.parametrize("order", "<>")
def test_rejects_16_bit_planes(order):
    with pytest.raises(BrokenImage, match="16-bit samples in separate planes"):
        inspect(tiff(planes(RGB16, order), order=order))


@pytest.mark.parametrize("order", "<>")
def test_scales_16_bit_colour(order):
    data = tiff(page(RGB16, order), order=order)
    assert np.array_equal(decode(data).pixels[:, :, ::-1], picture())


@pytest.mark.parametrize(
    ("order", "samples"), [*itertools.product("<>", [grey16(), grey16() >> 8])]
)
def test_white_is_zero_equals_inverted_black_is_zero(order, samples):
    samples = samples if samples.max() > 255 else samples.astype(np.uint8)
    white = page(~samples, order, t262=(3, (0,)))
    black = page(samples, order)
    assert np.array_equal(
        decode(tiff(white, order=order)).pixels, decode(tiff(black, order=order)).pixels
    )


def reduced(original: Page) -> Page:
    return Page({**original.tags, 254: (4, (1,))}, original.strips)


THUMBNAIL, MASK = reduced(page(SMALL)), page(picture()[..., 0], t254=(4, (4,)), t262=(3, (4,)))


@pytest.mark.parametrize("others", [[THUMBNAIL], [MASK], [THUMBNAIL, MASK], [THUMBNAIL] * 8])
def test_reads_picture_followed_by_thumbnails_and_masks(others):
    assert np.array_equal(decode(tiff(page(picture()), *others)).pixels, bgr(picture()))


@pytest.mark.parametrize("others", [[page(picture())], [THUMBNAIL, page(SMALL)]])
def test_rejects_several_pages(others):
    with pytest.raises(BrokenImage, match="several pages; one picture is needed"):
        inspect(tiff(page(picture()), *others))


def test_rejects_file_that_begins_with_reduced_picture():
    with pytest.raises(BrokenImage, match="begins with a reduced picture"):
        inspect(tiff(reduced(page(picture())), page(noise())))


def with_part(first: Page, part: Page) -> bytes:
    """Return a file whose only page has `part` as a sub-directory."""
    return tiff(Page(first.tags, first.strips, [part]))


@pytest.mark.parametrize(
    "data",
    [
        with_part(reduced(page(SMALL)), page(picture())),
        with_part(page(SMALL), page(picture())),
        with_part(page(picture()), page(SMALL[..., 0], t262=(3, (32803,)))),
        tiff(page(picture(), t50706=(1, (1, 4, 0, 0)))),
        tiff(page(picture()[..., 0], t262=(3, (32803,)))),
        tiff(page(grey16(), t262=(3, (34892,)))),
        tiff(page(picture(), t259=(3, (34713,)))),
        tiff(page(picture()), before=b"CR\2\0" + bytes(4)),
    ],
    ids=["NEF", "preview", "sensor", "DNG", "filter array", "linear raw", "Nikon", "CR2"],
)
def test_rejects_raw_camera_file(data):
    with pytest.raises(UnsupportedImage, match=r"raw camera file .* Export it as JPEG"):
        inspect(data)


def test_reads_picture_with_reduced_sub_directories():
    data = with_part(page(picture()), reduced(page(SMALL)))
    assert np.array_equal(decode(data).pixels, bgr(picture()))


@pytest.mark.parametrize("order", "<>")
def test_reads_bits_per_sample_at_offset_12(order):
    # A reader that takes the offset for the value would read 12 bits.
    bits = np.array([8, 8, 8], dtype=order + "u2").tobytes()
    data = bytearray(tiff(page(picture(), order), order=order, before=bytes(4) + bits))
    kind = "little" if order == "<" else "big"
    first = int.from_bytes(data[4:8], kind)
    entry = next(
        at
        for at in range(first + 2, first + 200, 12)
        if int.from_bytes(data[at : at + 2], kind) == 258
    )
    data[entry + 8 : entry + 12] = (12).to_bytes(4, kind)
    assert np.array_equal(decode(bytes(data)).pixels, bgr(picture()))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"t258": (3, (12,))}, "12 bits per sample; 8 or 16 are needed"),
        ({"t258": (3, (8, 12, 8))}, "different numbers of bits"),
        ({"t258": (3, (32,))}, "32 bits per sample"),
        ({"t339": (3, (2,))}, "signed samples"),
        ({"t339": (3, (3, 3, 3))}, "floating-point"),
        ({"t262": (3, (8,))}, "CIELAB"),
        ({"t262": (3, (9,))}, "photometric interpretation 9"),
        ({"t262": None}, "no PhotometricInterpretation"),
        ({"t277": (3, (5,)), "t258": (3, (8,) * 5)}, "5 samples per pixel"),
        ({"t266": (3, (2,))}, "FillOrder 2"),
        ({"t317": (3, (3,))}, "predictor"),
        ({"t256": (5, (56, 1))}, "tag 256 has a wrong type"),
        ({"t256": (4, (56, 57))}, "tag 256 needs one value"),
        ({"t273": None, "t279": (4, (1,))}, "missing"),
    ],
)
def test_rejects_unsupported_layout_by_name(changed, words):
    written = page(
        picture(), **{name: change for name, change in changed.items() if name != "t273"}
    )
    if "t273" in changed:
        written.strips = []
    with pytest.raises(BrokenImage, match=words):
        inspect(tiff(written))


@pytest.mark.parametrize(
    ("compression", "name"),
    [
        (2, "fax"),
        (4, "fax"),
        (6, "old-style JPEG"),
        (34712, "JPEG 2000"),
        (50000, "compression 50000"),
    ],
)
def test_rejects_unsupported_compression_by_name(compression, name):
    with pytest.raises(UnsupportedImage, match=f"compressed with {name}; none, LZW"):
        inspect(tiff(page(picture(), t259=(3, (compression,)))))


def strips(count: int) -> Page:
    """Return a page of `count` strips of equal height."""
    rows = HEIGHT // count
    written = page(picture(), t278=(4, (rows,)))
    written.strips = [picture()[top : top + rows].tobytes() for top in range(0, HEIGHT, rows)]
    return written


def test_reads_strips():
    assert np.array_equal(decode(tiff(strips(4))).pixels, bgr(picture()))


@pytest.mark.parametrize(
    ("tag", "values"),
    [
        (273, (0, 0, 0, 0)),
        (279, (0, 1, 2, 3)),
        (273, (8, 8, 8)),
        (279, (1680,)),
        (273, (1 << 31,) * 4),
    ],
)
def test_rejects_missing_strips(tag, values):
    written = strips(4)
    written.tags[tag] = (4, values)
    with pytest.raises(BrokenImage, match=r"missing|cut off"):
        inspect(tiff(written))


def test_rejects_too_short_strip():
    written = strips(4)
    written.strips[2] = written.strips[2][:-200]
    with pytest.raises(BrokenImage, match=r"damaged|cut off"):
        decode(tiff(written))


@pytest.mark.parametrize("compression", ["tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"])
def test_rejects_compressed_strips_that_lost_data(compression):
    data = encoded(noise(), "TIFF", compression=compression)
    start = 8
    lost = data[: start + 3000] + bytes(3000) + data[start + 6000 :]
    with pytest.raises(BrokenImage):
        decode(lost)


def test_does_not_read_metadata_directories(monkeypatch):
    def refuse(*arguments):
        raise AssertionError("Pillow read a metadata directory")

    monkeypatch.setattr(Image.Exif, "get_ifd", refuse)
    somewhere = (4, (8,))
    data = tiff(page(picture(), t34853=somewhere, t34665=somewhere, t40965=somewhere))
    assert np.array_equal(decode(data).pixels, bgr(picture()))


def test_rejects_too_much_metadata():
    rationals = page(picture(), t42112=(5, (1, 1) * 100_000))
    with pytest.raises(BrokenImage, match="more metadata than any real image"):
        inspect(tiff(rationals))


def test_rejects_circle_of_directories():
    data = bytearray(tiff(page(picture()), THUMBNAIL))
    first = int.from_bytes(data[4:8], "little")
    second = int.from_bytes(data[following_at(data, first) :][:4], "little")
    link = following_at(data, second)
    data[link : link + 4] = second.to_bytes(4, "little")
    with pytest.raises(BrokenImage, match="circle or too long"):
        inspect(bytes(data))


def following_at(data: bytearray, directory: int) -> int:
    entries = int.from_bytes(data[directory : directory + 2], "little")
    return directory + 2 + 12 * entries


def test_header_has_sides_of_page():
    header = inspect(tiff(page(picture())))
    assert (header.width, header.height) == (WIDTH, HEIGHT)
