"""Image files of every kind, valid and hostile, which this module generates.

ORDINARY images decode. BROKEN ones are refused; each has a pattern of the message. FOREIGN files
have other formats. The headers of BOMBS claim more pixels than are allowed.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 40, 56


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
    for mode in ("1", "L", "LA", "P", "RGBA", "CMYK"):
        yield f"{mode} TIFF", encoded(rgb.convert(mode), "TIFF")
    for compression in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"{compression} TIFF", encoded(rgb, "TIFF", compression=compression)
    for mode in ("1", "L", "P", "RGB", "RGBA"):
        yield f"{mode} BMP", encoded(rgb.convert(mode), "BMP")
    for orientation in range(1, 9):
        yield f"JPEG turned {orientation}", encoded(rgb, "JPEG", exif=exif(orientation))
    yield "JPEG turned by XMP", encoded(rgb, "JPEG", xmp=b'<x tiff:Orientation="6"/>')


ORDINARY = dict(ordinary_images())


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


def lossy_jpegs():
    """Yield JPEG files that lost pixels, which most decoders fill with grey without an error."""
    reason = "lost pixel data|belong to no row|cut off"
    for kind, options in JPEG_KINDS.items():
        mode = {"grey": "L", "CMYK": "CMYK"}.get(kind, "RGB")
        data = encoded(Image.fromarray(noise()).convert(mode), "JPEG", **options)
        half = len(data) // 2
        yield f"{kind} JPEG, half of it and EOI", data[:half] + b"\xff\xd9", reason
        blank = data[:half] + bytes(600) + data[half + 600 :]
        yield f"{kind} JPEG with zeros in the middle", blank, reason
        yield f"{kind} JPEG with bytes missing", data[:half] + data[half + 500 :], reason
        yield f"{kind} JPEG without EOI", data[:-2], reason
        yield f"{kind} JPEG without EOI, and more behind it", data[:-2] + b"GIF89a more", reason
        late = data[:-2] + b"twenty bytes of text" + b"\xff\xd9"
        yield f"{kind} JPEG with EOI too late", late, reason
    data = encoded(noise(), "JPEG", **JPEG_KINDS["restarting"])
    starts = [at for at in range(len(data)) if data[at] == 0xFF and 0xD0 <= data[at + 1] <= 0xD7]
    missing = data[: starts[3]] + data[starts[4] :]
    yield "JPEG that lacks a restart interval", missing, reason
    missing = data[: starts[3]] + data[starts[11] :]
    yield "JPEG that lacks eight restart intervals", missing, reason
    data = encoded(noise(), "JPEG", progressive=True)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    for number in (1, len(scans) - 1):
        yield f"progressive JPEG of {number} scans", data[: scans[number]] + b"\xff\xd9", reason


def noise():
    return np.random.default_rng(7).integers(0, 256, (96, 128, 3)).astype(np.uint8)


JPEG_KINDS = {
    "baseline": {},
    "progressive": {"progressive": True},
    "restarting": {"restart_marker_blocks": 2},
    "grey": {},
    "CMYK": {},
}


def broken_images():
    image = encoded(picture(), "PNG")
    tiff, webp, bmp = (encoded(picture(), format) for format in ("TIFF", "WEBP", "BMP"))
    yield "nothing", b"", "empty"
    for name, magic in (("JPEG", b"\xff\xd8\xff"), ("PNG", image[:8]), ("BMP", b"BM")):
        yield f"only the magic of {name}", magic, "cut off"
    yield "only the magic of WebP", webp[:12], "cut off"
    yield "only the magic of TIFF", tiff[:4], "cut off"
    halved = {"JPEG": jpeg(), "PNG": image, "TIFF": tiff, "WebP": webp, "BMP": bmp}
    for name, data in halved.items():
        yield f"half a {name}", data[: len(data) // 2], "cut off"
    yield "JPEG less two bytes", jpeg()[:-2], "cut off"
    yield "JPEG without pixel data", jpeg()[:20] + b"\xff\xd9", "no pixel data"
    yield "PNG without its end", image[:-12], "cut off"
    yield "PNG with a wrong checksum in its pixels", corrupted(image, -20), "checksum"
    yield "PNG with a wrong checksum in its header", corrupted(image, 30), "checksum"
    yield "PNG whose pixels are no zlib stream", png(32, 32, chunk(b"IDAT", b"x" * 99)), "damaged"
    yield "PNG with too few pixels", png(32, 32, chunk(b"IDAT", zlib.compress(b"1"))), "cut off"
    for kind, prefix in ((b"zTXt", b"key\0\0"), (b"iCCP", b"icc\0\0"), (b"iTXt", b"k\0\1\0\0\0")):
        bomb = with_chunk(image, kind, prefix + compressed_zeros())
        yield f"{kind.decode()} bomb", bomb, "expands beyond"
    many = chunk(b"zTXt", b"k\0\0" + zlib.compress(b"v")) * 100
    yield "PNG with a hundred texts", image[:33] + many + image[33:], "expands beyond"
    yield "PNG of countless parts", png(32, 32, chunk(b"IDAT", b"") * 70_000), "more parts"
    comments = b"\xff\xfe\0\x02" * 70_000
    yield "JPEG of countless parts", jpeg()[:2] + comments + jpeg()[2:], "more parts"
    yield "JPEG with junk between its parts", jpeg()[:2] + bytes(70_000) + jpeg()[2:], "more parts"
    yield "no width", png(0, 32), "a side of it is 0"
    yield "one pixel", encoded(picture()[:1, :1], "PNG"), "too small"
    yield "a stripe", encoded(np.zeros((8, 408, 3), np.uint8), "PNG"), "aspect ratio exceeds 50:1"
    for format in ("PNG", "WEBP"):
        yield f"animated {format}", animated(format), "animated"
    yield "multi-page TIFF", animated("TIFF"), "several pages"
    yield "float TIFF of NaN", tiff_of(np.float32), "floating-point"
    yield "32-bit TIFF", encoded(Image.new("I", (WIDTH, HEIGHT), 7), "TIFF"), "signed samples"
    ycbcr = Image.fromarray(picture()).convert("YCbCr")
    yield "YCbCr TIFF that is no JPEG", encoded(ycbcr, "TIFF"), "YCbCr"
    yield from lossy_jpegs()


BROKEN = {name: (data, reason) for name, data, reason in broken_images()}


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


PNG_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
PNG_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))


def png_passes(width, height, colour, bits, interlaced):
    """Return the rows of each pass of a PNG filled with 0x55, each with its filter byte."""
    passes = (*_PASSES, (0, 1, 1, 2)) if interlaced else ((0, 0, 1, 1),)
    sizes = [(-(-(width - x) // dx), -(-(height - y) // dy)) for x, y, dx, dy in passes]
    row_bytes = [-(-across * bits * PNG_SAMPLES[colour] // 8) for across, _ in sizes]
    return [
        [b"\0" + b"\x55" * size] * down for size, (_, down) in zip(row_bytes, sizes, strict=True)
    ]


def png_of_rows(width, height, colour, bits, interlaced, rows):
    """Return a PNG file with these rows as its pixel data, each with its filter byte."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    palette = chunk(b"PLTE", bytes([9]) * (3 * 2**bits)) * (colour == 3)
    pixels = chunk(b"IDAT", zlib.compress(b"".join(rows)))
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    return start + palette + pixels + chunk(b"IEND", b"")
