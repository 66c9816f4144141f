import io
import itertools
import logging
import struct
import subprocess
import sys
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from pipeline.decode import ImageLimits, decode, inspect
from pipeline.errors import BrokenImage, ImageError, ImageTooLarge, UnsupportedImage

HEIGHT, WIDTH = 40, 56
LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}}
UPRIGHT = {  # how the stored picture is turned to make it upright, by EXIF's definition
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a),
}


def picture():
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.stack((x * 4, y * 6, x + y), axis=2).astype(np.uint8)


def grey16():
    return np.random.default_rng(0).integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)


def encoded(image, format, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, format, **options)
    return stream.getvalue()


def chunk(kind, content):
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(width, height, *chunks, ending=True):
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    end = chunk(b"IEND", b"") if ending else b""
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunks) + end


def with_chunk(data, kind, content):
    return data[:33] + chunk(kind, content) + data[33:]


def exif(orientation):
    tags = Image.Exif()
    tags[274] = orientation
    tags[0x010E] = "Jane Doe"
    return tags


def read_as_detectron2_does(data):
    """`detectron2.data.detection_utils.read_image(path, "BGR")`, whose steps these are."""
    image = Image.open(io.BytesIO(data))
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(image.getexif().get(274))
    if method is not None:
        image = image.transpose(method)
    return np.asarray(image.convert("RGB"))[:, :, ::-1]


def ordinary_images():
    rgb = Image.fromarray(picture())
    yield "baseline JPEG", encoded(rgb, "JPEG")
    yield "progressive JPEG", encoded(rgb, "JPEG", progressive=True, subsampling=2)
    yield "grey JPEG", encoded(rgb.convert("L"), "JPEG")
    yield "CMYK JPEG", encoded(rgb.convert("CMYK"), "JPEG")
    second = Image.fromarray(255 - picture())
    yield "phone JPEG", encoded(rgb, "MPO", save_all=True, append_images=[second])
    yield "lossy WebP", encoded(rgb, "WEBP")
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA"):
        yield f"{mode} PNG", encoded(rgb.convert(mode), "PNG")
    yield "palette PNG with one clear entry", encoded(rgb.convert("P"), "PNG", transparency=3)
    alphas = bytes(range(256))
    yield "palette PNG with alphas", encoded(rgb.convert("P"), "PNG", transparency=alphas)
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK", "YCbCr"):
        yield f"{mode} TIFF", encoded(rgb.convert(mode), "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"{compression} TIFF", encoded(rgb, "TIFF", compression=compression)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"{mode} BMP", encoded(rgb.convert(mode), "BMP")
    for orientation in range(1, 9):
        yield f"JPEG turned {orientation}", encoded(rgb, "JPEG", exif=exif(orientation))
    yield "JPEG turned by XMP", encoded(rgb, "JPEG", xmp=b'<x tiff:Orientation="6"/>')


ORDINARY = dict(ordinary_images())


@pytest.mark.parametrize("data", ORDINARY.values(), ids=ORDINARY)
def test_an_ordinary_image_decodes_to_the_pixels_that_detectron2_reads(data):
    decoded = decode(data)
    assert np.array_equal(decoded.pixels, read_as_detectron2_does(data))
    assert decoded.info == inspect(data)
    assert (decoded.info.height, decoded.info.width, 3) == decoded.pixels.shape


@pytest.mark.parametrize("format", LOSSLESS)
def test_pixels_are_blue_green_red_contiguous_and_writable(format):
    pixels = decode(encoded(picture(), format, **LOSSLESS[format])).pixels
    assert np.array_equal(pixels[:, :, ::-1], picture())
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable


@pytest.mark.parametrize(
    ("format", "orientation"), list(itertools.product(["PNG", "TIFF", "WEBP"], UPRIGHT))
)
def test_every_orientation_comes_out_upright(format, orientation):
    data = encoded(picture(), format, exif=exif(orientation), **LOSSLESS[format])
    upright = UPRIGHT[orientation](picture())
    assert np.array_equal(decode(data).pixels[:, :, ::-1], upright)
    info = inspect(data)
    assert (info.height, info.width) == upright.shape[:2]


@pytest.mark.parametrize("orientation", [0, 9, 99])
def test_an_orientation_that_does_not_exist_is_ignored(orientation):
    info = decode(encoded(picture(), "JPEG", exif=exif(orientation))).info
    assert (info.width, info.height) == (WIDTH, HEIGHT)


def test_exif_that_is_cut_short_is_ignored():
    data = encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01")
    assert decode(data).pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    "data",
    [
        encoded(grey16(), "PNG"),
        encoded(grey16(), "TIFF"),
        encoded(grey16(), "TIFF", compression="tiff_lzw"),
        encoded(
            Image.frombytes("I;16B", (WIDTH, HEIGHT), grey16().astype(">u2").tobytes()), "TIFF"
        ),
    ],
    ids=["PNG", "TIFF", "compressed TIFF", "big-endian TIFF"],
)
def test_16_bit_grey_is_scaled_not_clipped(data):
    expected = (grey16() >> 8).astype(np.uint8)
    assert np.array_equal(decode(data).pixels, np.stack((expected,) * 3, axis=2))


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_trailing_bytes_change_nothing(format):
    data = encoded(picture(), format)
    assert np.array_equal(decode(data + b"GIF89a trailing").pixels, decode(data).pixels)


def jpeg():
    return encoded(picture(), "JPEG")


def tiff_of(dtype):
    return encoded(Image.fromarray(np.full((HEIGHT, WIDTH), np.nan).astype(dtype)), "TIFF")


def animated(format):
    frames = [Image.fromarray(picture()), Image.fromarray(255 - picture())]
    return encoded(frames[0], format, save_all=True, append_images=frames[1:])


def corrupted(data, offset):
    return data[:offset] + bytes([data[offset] ^ 0xFF]) + data[offset + 1 :]


def compressed_zeros():
    return zlib.compress(bytes(64 * 1024 * 1024), 9)


def broken_images():
    whole = encoded(picture(), "PNG")
    tiff, webp, bmp = (encoded(picture(), format) for format in ("TIFF", "WEBP", "BMP"))
    yield "nothing", b"", "empty"
    for name, magic in (("JPEG", b"\xff\xd8\xff"), ("PNG", whole[:8]), ("BMP", b"BM")):
        yield f"only the magic of {name}", magic, "cut off"
    yield "only the magic of WebP", webp[:12], "cut off"
    yield "only the magic of TIFF", tiff[:4], "no pixels"
    halved = {"JPEG": jpeg(), "PNG": whole, "TIFF": tiff, "WebP": webp, "BMP": bmp}
    for name, data in halved.items():
        yield f"half a {name}", data[: len(data) // 2], "cut off"
    yield "JPEG less two bytes", jpeg()[:-2], "cut off"
    yield "JPEG without pixel data", jpeg()[:20] + b"\xff\xd9", "no pixel data"
    yield "PNG without its end", whole[:-12], "cut off"
    yield "PNG with a wrong checksum in its pixels", corrupted(whole, -20), "checksum"
    yield "PNG with a wrong checksum in its header", corrupted(whole, 30), "checksum"
    yield "PNG whose pixels are no zlib stream", png(32, 32, chunk(b"IDAT", b"x" * 99)), "damaged"
    yield "PNG with too few pixels", png(32, 32, chunk(b"IDAT", zlib.compress(b"1"))), "cut off"
    for kind, prefix in ((b"zTXt", b"key\0\0"), (b"iCCP", b"icc\0\0"), (b"iTXt", b"k\0\1\0\0\0")):
        bomb = with_chunk(whole, kind, prefix + compressed_zeros())
        yield f"{kind.decode()} bomb", bomb, "expands beyond"
    many = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"v")) * 100
    yield "PNG with a hundred texts", whole[:33] + many + whole[33:], "expands beyond"
    yield "PNG of countless parts", png(32, 32, chunk(b"IDAT", b"") * 70_000), "more parts"
    comments = b"\xff\xfe\0\x02" * 70_000
    yield "JPEG of countless parts", jpeg()[:2] + comments + jpeg()[2:], "more parts"
    yield "JPEG with junk between its parts", jpeg()[:2] + bytes(70_000) + jpeg()[2:], "more parts"
    yield "no width", png(0, 32), "a side of it is 0"
    yield "one pixel", encoded(picture()[:1, :1], "PNG"), "too small"
    yield "a stripe", encoded(np.zeros((8, 408, 3), np.uint8), "PNG"), "narrower"
    for format in ("PNG", "WEBP"):
        yield f"animated {format}", animated(format), "animated"
    yield "multi-page TIFF", animated("TIFF"), "several pages"
    yield "float TIFF of NaN", tiff_of(np.float32), "floating-point"
    yield "32-bit TIFF", encoded(Image.new("I", (WIDTH, HEIGHT), 7), "TIFF"), "32-bit"


BROKEN = {name: (data, reason) for name, data, reason in broken_images()}


@pytest.mark.parametrize(("data", "reason"), BROKEN.values(), ids=BROKEN)
def test_a_broken_image_is_refused_and_the_damage_named(data, reason):
    with pytest.raises(BrokenImage, match=reason):
        decode(data)


FOREIGN = {
    "SVG with a script": b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>',
    "HTML": b"<!doctype html><title>x</title>",
    "PDF": b"%PDF-1.7\n1 0 obj",
    "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "GIF": encoded(picture(), "GIF"),
    "GIF that is JavaScript": b"GIF89a/*" + bytes(20) + b"*/=1;alert(1)",
    "ELF": b"\x7fELF\x02\x01\x01" + bytes(50),
    "ZIP": b"PK\x03\x04" + bytes(50),
    "HEIC": b"\0\0\0\x18ftypheic" + bytes(50),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(50),
    "PPM": encoded(picture(), "PPM"),
    "text that begins like a BMP": b"BMI and other measures of the patients",
    "BigTIFF": b"II\x2b\0\x08\0\0\0" + bytes(50),
    "random bytes": np.random.default_rng(0).bytes(500),
}


@pytest.mark.parametrize("data", FOREIGN.values(), ids=FOREIGN)
def test_what_is_not_an_allowed_image_is_unsupported(data):
    with pytest.raises(UnsupportedImage, match="JPEG, PNG, TIFF, WEBP, BMP"):
        inspect(data)


def test_a_format_can_be_disallowed():
    limits = ImageLimits(formats=("JPEG",))
    assert inspect(jpeg(), limits).format == "JPEG"
    with pytest.raises(UnsupportedImage, match="types: JPEG"):
        inspect(encoded(picture(), "PNG"), limits)


def test_run_length_encoded_bmp_is_unsupported():
    bmp = bytearray(encoded(Image.fromarray(picture()).convert("P"), "BMP"))
    bmp[30] = 1
    with pytest.raises(UnsupportedImage, match="Run-length"):
        inspect(bytes(bmp))


def tiff_claiming(width, height, *more):
    tags = [(256, 4, 1, width), (257, 4, 1, height), *more]
    body = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + body + bytes(4)


def bmp_claiming(width, height):
    return b"BM" + bytes(12) + struct.pack("<IiiHHI", 40, width, height, 1, 24, 0) + bytes(24)


def jpeg_claiming(width, height):
    frame = struct.pack(">BHHB", 8, height, width, 3) + bytes(9)
    return b"\xff\xd8\xff\xc0" + struct.pack(">H", len(frame) + 2) + frame


BOMBS = {
    "50000 square in 69 bytes": png(50_000, 50_000, chunk(b"IDAT", b""))[:69],
    "2^31-1 square": png(2**31 - 1, 2**31 - 1),
    "1 by 2^30": png(1, 2**30),
    "88 megapixels": png(11_000, 8_000, chunk(b"IDAT", zlib.compress(bytes(10_000)))),
    "TIFF": tiff_claiming(2**32 - 1, 2**32 - 1),
    "BMP": bmp_claiming(2**31 - 1, 2**31 - 1),
    "BMP from the top down": bmp_claiming(50_000, -50_000),
    "JPEG": jpeg_claiming(65_500, 65_500),
    "WebP": b"RIFF\x16\0\0\0WEBPVP8X\x0a\0\0\0" + bytes(4) + b"\xff\xff\xff" * 2,
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_a_decompression_bomb_is_too_large_by_its_header_alone(data):
    with pytest.raises(ImageTooLarge, match="pixels"):
        inspect(data)


def test_too_many_bytes_are_refused_unread():
    with pytest.raises(ImageTooLarge, match="bytes"):
        inspect(b"anything", ImageLimits(max_bytes=7))


def test_a_tiff_of_enormous_tiles_is_too_large():
    with pytest.raises(ImageTooLarge, match="tiles"):
        inspect(tiff_claiming(WIDTH, HEIGHT, (322, 4, 1, 50_000), (323, 4, 1, 50_000)))


def test_the_patients_name_is_never_logged(caplog):
    images = [encoded(picture(), format, exif=exif(1)) for format in ("JPEG", "TIFF", "PNG")]
    caplog.set_level(logging.DEBUG)
    caplog.clear()
    for data in images:
        decode(data)
    assert "Jane" not in caplog.text


def test_a_second_header_cannot_replace_the_first():
    frame = jpeg_claiming(64, 64)[2:]
    with pytest.raises(BrokenImage):
        decode(jpeg()[:2] + frame + jpeg()[2:])


def test_messages_hold_nothing_of_the_metadata():
    info = PngInfo()
    info.add_text("Patient", "Jane Doe", zip=True)
    whole = encoded(picture(), "PNG", pnginfo=info, exif=exif(1))
    for damaged in (whole[:-12], corrupted(whole, -20), corrupted(whole, 60)):
        with pytest.raises(BrokenImage) as refused:
            decode(damaged)
        assert "Jane" not in str(refused.value)
        assert "BytesIO" not in str(refused.value)


def test_inspection_decodes_no_pixels(monkeypatch):
    def refuse(*args, **options):
        raise AssertionError("Pillow was called")

    monkeypatch.setattr(Image, "open", refuse)
    assert inspect(ORDINARY["palette PNG with alphas"]).format == "PNG"
    assert inspect(ORDINARY["lossy WebP"]).format == "WEBP"


def test_decoding_warns_of_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for data in ORDINARY.values():
            decode(data)


def test_damaged_metadata_fills_no_log(tmp_path):
    damaged = tmp_path / "damaged"
    damaged.write_bytes(encoded(picture(), "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x05\x01"))
    script = (
        "import sys; from pipeline.decode import decode; decode(open(sys.argv[1], 'rb').read())"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, damaged], capture_output=True, check=True, timeout=60
    )
    assert run.stderr == b""


def test_threads_may_decode_at_once():
    images = list(ORDINARY.values()) * 3
    with ThreadPoolExecutor(4) as pool:
        decoded = list(pool.map(decode, images))
    for data, result in zip(images, decoded, strict=True):
        assert np.array_equal(result.pixels, decode(data).pixels)


@settings(deadline=None, max_examples=400, derandomize=True)
@given(
    st.sampled_from(list(ORDINARY.values())),
    st.lists(st.tuples(st.integers(0, 5000), st.binary(min_size=1, max_size=4)), max_size=4),
    st.integers(0, 5000),
)
def test_whatever_is_damaged_only_our_own_errors_come_out(data, overwrites, end):
    damaged = bytearray(data)
    for offset, content in overwrites:
        offset %= len(damaged)
        damaged[offset : offset + len(content)] = content
    if end % 4 == 0:
        del damaged[end % len(damaged) :]
    try:
        info = inspect(bytes(damaged))
        decoded = decode(bytes(damaged))
    except ImageError:
        return
    assert decoded.info == info
    assert decoded.pixels.shape == (info.height, info.width, 3)
