"""Files of independent encoders with harmless oddities, or with lost pixels."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.differential.encoders import CONVERT, SIZES, Case, picture, run, source
from tests.images import PNG_SAMPLES, chunk, png_passes
from tests.jpegs import oddities
from tests.tiffs import Page, page, tiff


def odd_jpegs(folder: Path) -> Iterator[Case]:
    """Yield JPEG files with headers that libjpeg warns of."""
    for name, data in _jpegs(folder):
        for oddity, odd in oddities(data):
            yield Case(f"{name}, {oddity}", odd)


def _jpegs(folder: Path) -> Iterator[tuple[str, bytes]]:
    out = folder / "out.jpg"
    for options in ("-baseline", "-progressive", "-restart 1", "-grayscale", "-rgb", "-optimize"):
        run("cjpeg", *options.split(), "-outfile", out, source(folder, *SIZES[1]))
        yield f"cjpeg {options}", out.read_bytes()
    for kind in ("ColorSeparation", "TrueColor"):
        run(CONVERT, source(folder, *SIZES[1]), "-type", kind, out)
        yield f"convert {kind}", out.read_bytes()


def broken_exif(folder: Path) -> Iterator[Case]:
    """Yield files whose Exif block has a wrong byte, or ends early."""
    tags = Image.Exif()
    tags[274] = 6
    block = tags.tobytes().removeprefix(b"Exif\0\0")
    for suffix in ("jpg", "png", "webp"):
        plain, exif, out = folder / f"plain.{suffix}", folder / "exif", folder / f"exif.{suffix}"
        run(CONVERT, source(folder, *SIZES[1]), plain)
        for name, damaged in _damaged(block):
            if suffix == "jpg":
                data = plain.read_bytes()
                content = b"Exif\0\0" + damaged
                part = b"\xff\xe1" + struct.pack(">H", len(content) + 2) + content
                data = data[:20] + part + data[20:]
            elif suffix == "png":
                data = plain.read_bytes()
                data = data[:33] + chunk(b"eXIf", damaged) + data[33:]
            else:
                exif.write_bytes(damaged)
                run("webpmux", "-set", "exif", exif, plain, "-o", out)
                data = out.read_bytes()
            yield Case(f"{suffix} with Exif, {name}", data)


def _damaged(block: bytes) -> Iterator[tuple[str, bytes]]:
    for at in range(len(block)):
        for value in (0, 0xFF, block[at] ^ 1):
            yield f"byte {at} is {value}", block[:at] + bytes([value]) + block[at + 1 :]
    for end in range(1, len(block)):
        yield f"{end} bytes", block[:end]


def lossy(folder: Path) -> Iterator[Case]:
    """Yield files that lost pixels although their containers are intact."""
    yield from _webps_that_were_cut(folder)
    yield from _pngs_that_lack_rows(folder)
    yield from _tiffs_of_short_blocks(folder)


def _webps_that_were_cut(folder: Path) -> Iterator[Case]:
    plain, metadata, out = folder / "plain.webp", folder / "metadata", folder / "out.webp"
    metadata.write_bytes(np.random.default_rng(0).bytes(60_000))
    for size in SIZES:
        for options in ("-q 0", "-q 80", "-q 100 -m 6", "-segments 1", "-lossless"):
            run("cwebp", "-quiet", *options.split(), source(folder, *size), "-o", plain)
            for kind in ("exif", "xmp", "icc"):
                run("webpmux", "-set", kind, metadata, plain, "-o", out)
                data = out.read_bytes()
                coded = max(data.find(b"VP8 "), data.find(b"VP8L"))
                length = struct.unpack_from("<I", data, coded + 4)[0]
                for share in (0.4, 0.7, 0.9):
                    cut_length = int(length * share) // 2 * 2
                    cut = data[: coded + 4] + struct.pack("<I", cut_length)
                    cut += data[coded + 8 : coded + 8 + cut_length]
                    cut += data[coded + 8 + length + length % 2 :]
                    cut = cut[:4] + struct.pack("<I", len(cut) - 8) + cut[8:]
                    yield Case(f"cwebp {options} {kind} {size}, {share} of it", cut)


def _pngs_that_lack_rows(folder: Path) -> Iterator[Case]:
    out = folder / "out.png"
    for size in SIZES:
        for kind in ("TrueColor", "TrueColorAlpha", "Grayscale", "Palette", "Bilevel"):
            for interlace in ("None", "PNG"):
                run(CONVERT, source(folder, *size), "-type", kind, "-interlace", interlace, out)
                data = out.read_bytes()
                chunks = list(_chunks(data))
                pixels = zlib.decompress(b"".join(part for name, part in chunks if name == b"IDAT"))
                bits, colour = data[24], data[25]
                passes = png_passes(*size, colour, bits, interlace == "PNG")
                rows = [len(row) for each in passes for row in each]
                assert sum(rows) == len(pixels), PNG_SAMPLES
                for row_count in (1, len(rows) // 2, len(rows) - 1):
                    coded = chunk(b"IDAT", zlib.compress(pixels[: sum(rows[:row_count])]))
                    before = b"".join(
                        chunk(*each) for each in chunks if each[0] in (b"IHDR", b"PLTE")
                    )
                    cut = data[:8] + before + coded + chunk(b"IEND", b"")
                    yield Case(f"convert {kind} {interlace} {size}, {row_count} rows", cut)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 8
    while position < len(data):
        length = struct.unpack_from(">I", data, position)[0]
        yield data[position + 4 : position + 8], data[position + 8 : position + 8 + length]
        position += length + 12


def _tiffs_of_short_blocks(folder: Path) -> Iterator[Case]:
    """Yield TIFF files of three JPEG strips, one of which has too few rows or columns."""
    pixels = picture(64, 48)
    for number in range(3):
        for height, width in ((8, 64), (15, 64), (16, 32), (16, 63)):
            shapes = [(16, 64)] * 3
            shapes[number] = height, width
            codes = {"t259": (3, (7,)), "t262": (3, (6,)), "t278": (4, (16,)), "t530": (3, (1, 1))}
            written: Page = page(pixels, **codes)
            written.strips = [
                _jpeg_of(folder, pixels[16 * n :][:down, :across])
                for n, (down, across) in enumerate(shapes)
            ]
            yield Case(f"strip {number} of {height} rows and {width} columns", tiff(written))


def _jpeg_of(folder: Path, pixels: np.ndarray) -> bytes:
    source_file, out = folder / "block.ppm", folder / "block.jpg"
    Image.fromarray(np.ascontiguousarray(pixels)).save(source_file)
    run("cjpeg", "-sample", "1x1", "-outfile", out, source_file)
    return out.read_bytes()
