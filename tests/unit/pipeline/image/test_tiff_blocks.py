"""Test strips and tiles that are too short, or hold fewer pixels than the picture needs."""

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipeline.errors import BrokenImage
from pipeline.image.decode import decode
from pipeline.image.inspect import inspect
from tests.detectron2_reader import read_image
from tests.images import HEIGHT, WIDTH, encoded, picture
from tests.jpegs import odd_jpegs
from tests.tiffs import Page, page, tiff

ROWS = 16
SMOOTH = np.asarray(Image.fromarray(picture()).resize((64, 48)))


def jpeg_strips(blocks: list[bytes], **changes) -> bytes:
    """Return a TIFF of 64 x 48 pixels in three strips of JPEG."""
    codes = {"t259": (3, (7,)), "t262": (3, (6,)), "t278": (4, (ROWS,)), "t530": (3, (1, 1))}
    written = page(SMOOTH, **(codes | changes))
    written.strips = blocks
    return tiff(written)


def jpeg_tiles(blocks: list[bytes]) -> bytes:
    """Return a TIFF of 64 x 48 pixels in twelve tiles of JPEG."""
    offsets = [8 + sum(len(block) for block in blocks[:number]) for number in range(len(blocks))]
    codes = {"t259": (3, (7,)), "t262": (3, (6,)), "t278": None, "t530": (3, (1, 1))}
    places = {
        "t322": (4, (16,)),
        "t323": (4, (16,)),
        "t324": (4, tuple(offsets)),
        "t325": (4, tuple(len(block) for block in blocks)),
    }
    written = page(SMOOTH, **codes, **places)
    return tiff(Page(written.tags), before=b"".join(blocks))


def coded(pixels: np.ndarray, **options) -> bytes:
    return encoded(np.ascontiguousarray(pixels), "JPEG", quality=95, subsampling=0, **options)


def strips(**options) -> list[bytes]:
    return [coded(SMOOTH[top : top + ROWS], **options) for top in (0, 16, 32)]


def tiles() -> list[bytes]:
    corners = [(top, left) for top in (0, 16, 32) for left in (0, 16, 32, 48)]
    return [coded(SMOOTH[top : top + 16, left : left + 16]) for top, left in corners]


@pytest.mark.parametrize("data", [jpeg_strips(strips()), jpeg_tiles(tiles())])
def test_reads_strips_and_tiles_of_jpeg(data):
    assert np.abs(decode(data).pixels[:, :, ::-1].astype(int) - SMOOTH).max() < 30
    assert np.array_equal(decode(data).pixels, read_image(data))


def test_reads_last_jpeg_strip_with_surplus_rows():
    blocks = [coded(SMOOTH[:20]), coded(SMOOTH[20:40]), coded(SMOOTH[28:48])]
    pixels = decode(jpeg_strips(blocks, t278=(4, (20,)))).pixels[:, :, ::-1]
    assert np.abs(pixels[40:].astype(int) - SMOOTH[28:36]).max() < 30


PARTS = {
    "half its rows": lambda block: block[:8],
    "a row less": lambda block: block[:15],
    "half its columns": lambda block: block[:, : block.shape[1] // 2],
    "a column less": lambda block: block[:, :-1],
}


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_rejects_jpeg_strip_with_missing_pixels(part, number):
    blocks = strips()
    blocks[number] = coded(part(SMOOTH[number * ROWS :][:ROWS]))
    with pytest.raises(BrokenImage, match="fewer pixels than it needs"):
        decode(jpeg_strips(blocks))


@pytest.mark.parametrize("number", [0, 5, 11])
@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS)
def test_rejects_jpeg_tile_with_missing_pixels(part, number):
    blocks = tiles()
    blocks[number] = coded(part(SMOOTH[:16, :16]))
    with pytest.raises(BrokenImage, match="fewer pixels than it needs"):
        decode(jpeg_tiles(blocks))


@pytest.mark.parametrize("number", [0, 1, 2])
def test_rejects_jpeg_strip_with_missing_scans(number):
    blocks = strips(progressive=True)
    assert np.abs(decode(jpeg_strips(blocks)).pixels[:, :, ::-1].astype(int) - SMOOTH).max() < 30
    picture_data = blocks[number]
    scans = [at for at in range(len(picture_data)) if picture_data[at : at + 2] == b"\xff\xda"]
    for end in scans[1:]:
        blocks[number] = picture_data[:end] + b"\xff\xd9"
        with pytest.raises(BrokenImage, match="scans of it are missing"):
            decode(jpeg_strips(blocks))


@pytest.mark.parametrize("plane", [0, 1, 2])
def test_rejects_jpeg_plane_with_missing_rows(plane):
    planes = [encoded(np.ascontiguousarray(SMOOTH[..., n]), "JPEG") for n in range(3)]
    layout = {"t262": (3, (2,)), "t278": (4, (48,)), "t284": (3, (2,)), "t530": None}
    assert decode(jpeg_strips(planes, **layout)).pixels.shape == (48, 64, 3)
    planes[plane] = encoded(np.ascontiguousarray(SMOOTH[:40, :, plane]), "JPEG")
    with pytest.raises(BrokenImage, match="fewer pixels than it needs"):
        decode(jpeg_strips(planes, **layout))


ODD = {name: data for name, data in odd_jpegs(SMOOTH) if name.startswith("baseline 4:4:4")}


@pytest.mark.parametrize("data", ODD.values(), ids=ODD)
def test_reads_jpeg_strip_with_odd_header(data):
    written = jpeg_strips([data], t278=(4, (48,)))
    assert np.abs(decode(written).pixels.astype(int) - decode(data).pixels).max() <= 1


def with_count(rows: int, stored: int, behind: bytes = b"", compression: int = 1) -> bytes:
    """Return a page of one uncompressed strip of `rows`, whose byte count is for `stored` rows."""
    written = page(picture(), t259=(3, (compression,)))
    content = picture()[:rows].tobytes()
    written.strips = [content]
    written.tags[279] = (4, (stored * WIDTH * 3,))
    if behind:
        written.tags[34675] = (7, tuple(behind))
    return tiff(written)


@pytest.mark.parametrize("stored", [1, 20, HEIGHT - 1])
@pytest.mark.parametrize("is_complete", [True, False])
def test_rejects_strip_with_too_small_byte_count(stored, is_complete):
    profile = np.random.default_rng(0).bytes(20_000)
    with pytest.raises(BrokenImage, match="pixel data ends too early"):
        inspect(with_count(HEIGHT if is_complete else stored, stored, profile))


@pytest.mark.parametrize(("bits", "dtype"), [(1, "?"), (8, "u1"), (16, "u2")])
@pytest.mark.parametrize("samples", [1, 3])
def test_reads_strips_with_exact_byte_counts(bits, dtype, samples):
    if bits == 1 and samples == 3:
        pytest.skip("not read")
    pixels = np.full((41, 57, samples), 1, dtype=dtype).squeeze()
    stream = io.BytesIO()
    kind = "rgb" if samples == 3 else "minisblack"
    for planar in ("contig", "separate") if samples == 3 and bits == 8 else (None,):
        shaped = np.moveaxis(pixels, 2, 0) if planar == "separate" else pixels
        stream = io.BytesIO()
        tifffile.imwrite(stream, shaped, photometric=kind, planarconfig=planar, rowsperstrip=7)
        assert inspect(stream.getvalue()).height == 41


@pytest.mark.parametrize("rows", [20, 24])
@pytest.mark.parametrize("beyond", [1, 4 * WIDTH * 3, 8 * WIDTH * 3 + 1])
def test_reads_last_strip_with_byte_count_beyond_file(rows, beyond):
    data = strips_at_the_end(rows, beyond)
    if beyond > (-HEIGHT % rows) * WIDTH * 3 + 1:
        with pytest.raises(BrokenImage, match="cut off"):
            inspect(data)
    else:
        assert np.array_equal(decode(data).pixels[:, :, ::-1], picture())


def strips_at_the_end(rows: int, beyond: int) -> bytes:
    """Return a page whose strips end the file; the last one counts `beyond` more bytes."""
    content = [picture()[top : top + rows].tobytes() for top in range(0, HEIGHT, rows)]
    lengths = [len(strip) for strip in content[:-1]] + [len(content[-1]) + beyond]
    offsets = np.cumsum([0, *lengths[:-1]]).tolist()

    def written(start: int) -> bytes:
        places = {"t273": (4, tuple(start + offset for offset in offsets))}
        tags = page(picture(), t278=(4, (rows,)), t279=(4, tuple(lengths)), **places).tags
        return tiff(Page(tags))

    return written(len(written(0))) + b"".join(content)


COMPRESSIONS = ("lzw", "zlib", "packbits", None)


@pytest.mark.parametrize("predictor", [False, True])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("rows", [1, 8, 15])
def test_rejects_compressed_strip_with_missing_rows(compression, rows, predictor):
    if predictor and compression in ("packbits", None):
        pytest.skip("has no predictor")
    blocks = [block_of(SMOOTH[top : top + ROWS], compression, predictor) for top in (0, 16, 32)]
    codes = {"lzw": 5, "zlib": 8, "packbits": 32773, None: 1}
    changes = {"t259": (3, (codes[compression],)), "t278": (4, (ROWS,))}
    if predictor:
        changes["t317"] = (3, (2,))
    written = page(SMOOTH, **changes)
    written.strips = list(blocks)
    assert np.array_equal(decode(tiff(written)).pixels[:, :, ::-1], SMOOTH)
    for number in range(3):
        written.strips = list(blocks)
        short = SMOOTH[number * ROWS :][:rows]
        written.strips[number] = block_of(short, compression, predictor)
        with pytest.raises(BrokenImage, match=r"damaged|cut off"):
            decode(tiff(written))


def block_of(pixels: np.ndarray, compression: str | None, predictor: bool) -> bytes:
    """Return the single strip that Pillow's libtiff writes for the pixels."""
    if predictor:
        first = pixels[:, :1].astype(np.uint8)
        pixels = np.concatenate((first, np.diff(pixels.astype(np.int16), axis=1)), axis=1)
        pixels = pixels.astype(np.uint8)
    if compression is None:
        return pixels.tobytes()
    if compression == "zlib":
        return zlib.compress(pixels.tobytes())
    if compression == "packbits":
        data = pixels.tobytes()
        step = pixels.shape[1] * 3
        runs = (data[at : at + step] for at in range(0, len(data), step))
        return b"".join(
            bytes([len(part) - 1]) + part
            for row in runs
            for part in (row[at : at + 128] for at in range(0, len(row), 128))
        )
    data = encoded(np.ascontiguousarray(pixels), "TIFF", compression="tiff_lzw")
    (offset, length) = (value_of(data, tag) for tag in (273, 279))
    return data[offset : offset + length]


def value_of(data: bytes, tag: int) -> int:
    start = struct.unpack_from("<I", data, 4)[0] + 2
    return next(
        struct.unpack_from("<I", data, at + 8)[0]
        for at in range(start, start + 400, 12)
        if struct.unpack_from("<H", data, at)[0] == tag
    )


@pytest.mark.parametrize("tag", ["t32997", "t32998"])
def test_rejects_several_slices(tag):
    assert inspect(tiff(page(picture(), **{tag: (3, (1,))}))).width == WIDTH
    with pytest.raises(BrokenImage, match="several slices in one page; one picture is needed"):
        inspect(tiff(page(picture(), **{tag: (3, (16,))})))


@pytest.mark.parametrize(
    ("samples", "extra", "words"),
    [
        (2, (1,), "grey premultiplied with its transparency"),
        (2, None, "describes 0 extra samples per pixel and has 1"),
        (1, (2,), "describes 1 extra samples per pixel and has 0"),
        (3, (0,), "describes 1 extra samples per pixel and has 0"),
        (4, (0, 0), "describes 2 extra samples per pixel and has 1"),
    ],
)
def test_rejects_unsupported_extra_samples_by_name(samples, extra, words):
    pixels = np.dstack((picture(), picture()))[..., :samples].squeeze()
    changes = {} if extra is None else {"t338": (3, extra)}
    with pytest.raises(BrokenImage, match=words):
        inspect(tiff(page(pixels, **changes)))


@pytest.mark.parametrize(("samples", "extra"), [(2, (0,)), (2, (2,)), (4, (0,)), (4, (1,))])
def test_reads_extra_samples(samples, extra):
    pixels = np.dstack((picture(), np.full((HEIGHT, WIDTH), 255, np.uint8)))
    stored = pixels[..., [0, 3]] if samples == 2 else pixels
    colours = picture()[..., :1].repeat(3, 2) if samples == 2 else picture()
    data = tiff(page(stored, t338=(3, extra)))
    assert np.array_equal(decode(data).pixels[:, :, ::-1], colours)
