"""Image files of every variant that independent encoders write, with their pictures."""

import itertools
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import tifffile
from PIL import Image

CONVERT = next(
    (name for name in ("convert-im6.q16", "magick", "convert") if shutil.which(name)), "convert"
)
PROGRAMS = (CONVERT, "cjpeg", "jpegtran", "cwebp", "webpmux", "exiftool", "tiffcp")
MISSING = [name for name in PROGRAMS if shutil.which(name) is None]

SIZES = ((56, 40), (57, 41), (17, 8), (130, 33))


@dataclass(frozen=True)
class Case:
    """An image file.

    `truth` is the picture that was encoded, (H, W, 3) uint8 RGB. It is None where the coding loses
    information or leaves the encoder a choice: then Detectron2's reader gives the expected pixels.
    """

    name: str
    data: bytes
    truth: np.ndarray | None = None


def run(*command: object) -> None:
    """Run a program. Raise CalledProcessError where it fails."""
    subprocess.run([str(word) for word in command], check=True, capture_output=True, timeout=60)


@cache
def picture(width: int, height: int, samples: int = 3) -> np.ndarray:
    """Return smooth colours with some noise, (H, W, samples) uint8."""
    y, x = np.mgrid[:height, :width]
    planes = [x * (4 + n) + y * (6 - n) for n in range(samples)]
    noise = np.random.default_rng(width).integers(0, 9, (height, width, samples))
    return (np.stack(planes, 2) + noise).astype(np.uint8)


def source(folder: Path, width: int, height: int) -> Path:
    path = folder / f"{width}x{height}.ppm"
    if not path.exists():
        Image.fromarray(picture(width, height)).save(path)
    return path


def jpegs(folder: Path) -> Iterator[Case]:
    out = folder / "out.jpg"
    samplings = ("1x1", "2x1", "1x2", "2x2", "4x1", "2x2,1x2,1x1", "1x1,2x2,2x2")
    codings = ((), ("-progressive",), ("-optimize",), ("-arithmetic",))
    restarts = ((), ("-restart", "1"), ("-restart", "3B"))
    for size, sampling, coding, restart, quality in itertools.product(
        SIZES, samplings, codings, restarts, ("5", "75", "100")
    ):
        options = ("-sample", sampling, *coding, *restart, "-quality", quality)
        run("cjpeg", *options, "-outfile", out, source(folder, *size))
        yield Case(f"cjpeg {' '.join(options)} {size}", out.read_bytes())
    for size, kind, coding in itertools.product(SIZES, ("-grayscale", "-rgb"), codings):
        run("cjpeg", kind, *coding, "-outfile", out, source(folder, *size))
        yield Case(f"cjpeg {kind} {coding} {size}", out.read_bytes())
    for size in SIZES:
        run("cjpeg", "-outfile", folder / "in.jpg", source(folder, *size))
        for change in ("-progressive", "-grayscale", "-rotate 90", "-flip vertical", "-arithmetic"):
            run("jpegtran", *change.split(), "-outfile", out, folder / "in.jpg")
            yield Case(f"jpegtran {change} {size}", out.read_bytes())
        for kind in ("ColorSeparation", "Grayscale", "TrueColor"):
            for interlace in ("None", "JPEG"):
                run(CONVERT, source(folder, *size), "-type", kind, "-interlace", interlace, out)
                yield Case(f"convert {kind} {interlace} {size}", out.read_bytes())
        for quality in (1, 60, 100):
            for progressive in (0, 1):
                flags = [
                    cv2.IMWRITE_JPEG_QUALITY,
                    quality,
                    cv2.IMWRITE_JPEG_PROGRESSIVE,
                    progressive,
                ]
                written = cv2.imencode(".jpg", picture(*size), flags)[1].tobytes()
                yield Case(f"OpenCV {quality} {progressive} {size}", written)


def pngs(folder: Path) -> Iterator[Case]:
    out = folder / "out.png"
    types = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
    for size in SIZES:
        for kind, bits in ((kind, bits) for kind, all_bits in types.items() for bits in all_bits):
            for interlace, transparent in itertools.product(
                ("None", "PNG"), ((), ("-alpha", "on"))
            ):
                defines = ("-define", f"png:color-type={kind}", "-define", f"png:bit-depth={bits}")
                colours = ("-colors", str(2**bits)) if kind == 3 else ()
                command = (*transparent, *colours, "-interlace", interlace, *defines, out)
                run(CONVERT, source(folder, *size), *command)
                yield Case(
                    f"convert {kind} {bits} {interlace} {transparent} {size}", out.read_bytes()
                )
        for dtype, samples in itertools.product((np.uint8, np.uint16), (1, 3, 4)):
            wide = (
                picture(*size, samples).astype(np.uint16) * 257 // (257 if dtype is np.uint8 else 1)
            )
            written = cv2.imencode(".png", wide.astype(dtype))[1].tobytes()
            truth = (wide >> 8 if dtype is np.uint16 else wide).astype(np.uint8)
            truth = truth.repeat(3, 2) if samples == 1 else truth[:, :, 2::-1]
            yield Case(f"OpenCV {np.dtype(dtype)} {samples} {size}", written, truth)


def bmps(folder: Path) -> Iterator[Case]:
    out = folder / "out.bmp"
    for size, version, kind in itertools.product(
        SIZES,
        ("BMP2", "BMP3", "BMP"),
        ("TrueColor", "TrueColorAlpha", "Palette", "Grayscale", "Bilevel"),
    ):
        for compression in ("None", "RLE"):
            run(
                CONVERT,
                source(folder, *size),
                "-type",
                kind,
                "-compress",
                compression,
                f"{version}:{out}",
            )
            yield Case(f"convert {version} {kind} {compression} {size}", out.read_bytes())
    for size in SIZES:
        for subtype in ("RGB555", "RGB565", "ARGB4444", "ARGB1555"):
            run(CONVERT, source(folder, *size), "-define", f"bmp:subtype={subtype}", out)
            yield Case(f"convert {subtype} {size}", out.read_bytes())
        written = cv2.imencode(".bmp", picture(*size)[:, :, ::-1])[1].tobytes()
        yield Case(f"OpenCV {size}", written, picture(*size))


def webps(folder: Path) -> Iterator[Case]:
    out, framed = folder / "out.webp", folder / "framed.webp"
    transparent = folder / "transparent.png"
    for size in SIZES:
        Image.fromarray(picture(*size, 4)).save(transparent)
        for source_file, quality, method, more in itertools.product(
            (source(folder, *size), transparent),
            ("0", "50", "100"),
            ("0", "4", "6"),
            (
                ("-lossless",),
                ("-lossless", "-exact"),
                (),
                ("-noalpha",),
                ("-segments", "1"),
                ("-strong",),
            ),
        ):
            run("cwebp", "-quiet", "-q", quality, "-m", method, *more, source_file, "-o", out)
            name = f"cwebp {source_file.suffix} {quality} {method} {more} {size}"
            yield Case(name, out.read_bytes())
        for options in ((), ("-lossless",)):
            run("cwebp", "-quiet", *options, source(folder, *size), "-o", out)
            run("webpmux", "-frame", out, "+100", "-o", framed)
            yield Case(f"webpmux of one frame {options} {size}", framed.read_bytes())


def tiffs(folder: Path) -> Iterator[Case]:
    yield from _tiffs_of_tiffcp(folder)
    yield from _tiffs_of_convert(folder)


def _tiffs_of_tiffcp(folder: Path) -> Iterator[Case]:
    source_file, out = folder / "in.tif", folder / "out.tif"
    layouts = [("minisblack", 1), ("miniswhite", 1), ("rgb", 3), ("rgb", 4)]
    for (photometric, samples), dtype, order, planar in itertools.product(
        layouts, (np.uint8, np.uint16), "<>", ("contig", "separate")
    ):
        if samples == 1 and planar == "separate":
            continue
        pixels = picture(57, 41, samples)
        wide = pixels if dtype is np.uint8 else pixels.astype(np.uint16) * 256 + 7
        stored = wide[..., 0] if samples == 1 else wide
        options = {"extrasamples": ["UNASSALPHA"]} if samples == 4 else {}
        tifffile.imwrite(
            source_file,
            np.moveaxis(stored, -1, 0) if planar == "separate" else stored,
            photometric=photometric,
            planarconfig=None if samples == 1 else planar,
            byteorder=order,
            metadata=None,
            rowsperstrip=16,
            **options,
        )
        truth = pixels[..., :3] if samples >= 3 else pixels.repeat(3, 2)
        truth = ~truth if photometric == "miniswhite" else truth
        if photometric == "miniswhite" and dtype is np.uint16:
            truth = (~wide >> 8).astype(np.uint8).repeat(3, 2)
        shapes = ("-s -r 16", "-s -r 1", "-s -r 1000", "-t -w 16 -l 32")
        for compression, (shape, fill) in itertools.product(
            ("none", "lzw", "lzw:2", "zip", "zip:2", "packbits"),
            (*((shape, "msb2lsb") for shape in shapes), *((shapes[n], "lsb2msb") for n in (0, 3))),
        ):
            command = f"tiffcp -c {compression} {shape} -f {fill} {'-B' if order == '>' else '-L'}"
            run(*command.split(), source_file, out)
            name = f"{command} {photometric} {samples} {np.dtype(dtype)} {planar}"
            yield Case(name, out.read_bytes(), truth)


def _tiffs_of_convert(folder: Path) -> Iterator[Case]:
    out = folder / "out.tif"
    kinds = ("TrueColor", "TrueColorAlpha", "Palette", "Grayscale", "Bilevel", "ColorSeparation")
    for size, kind, depth, compression in itertools.product(
        SIZES[:2],
        kinds,
        (1, 4, 8, 12, 16, 32),
        ("None", "LZW", "Zip", "RLE", "JPEG", "Group4", "LZMA"),
    ):
        if kind == "Bilevel" and compression == "JPEG":
            continue
        options = ("-type", kind, "-depth", depth, "-compress", compression)
        run(CONVERT, source(folder, *size), *options, out)
        wide = depth == 16 and kind == "Grayscale" and compression in ("None", "LZW", "Zip", "RLE")
        truth = _grey_of(out) if wide else None
        yield Case(f"convert {options} {size}", out.read_bytes(), truth)
    for endian, photometric, more in itertools.product(
        ("LSB", "MSB"),
        ("min-is-black", "min-is-white"),
        (("-define", "tiff:tile-geometry=16x16"), ("-interlace", "plane"), ("-depth", "16"), ()),
    ):
        define = ("-define", f"tiff:photometric={photometric}")
        options = ("-type", "Grayscale", "-endian", endian, *more, *define)
        run(CONVERT, source(folder, *SIZES[1]), *options, out)
        yield Case(f"convert {options}", out.read_bytes(), _grey_of(out))


def _grey_of(path: Path) -> np.ndarray:
    """Return the picture that ImageMagick reads: Detectron2's reader inverts no 16-bit samples."""
    plain = path.with_suffix(".pgm")
    run(CONVERT, path, "-depth", "16", plain)
    grey = cv2.imread(str(plain), cv2.IMREAD_UNCHANGED)
    return (grey >> 8).astype(np.uint8)[..., None].repeat(3, 2)


def turned(folder: Path) -> Iterator[Case]:
    """Yield each format turned by the orientations that exiftool writes into it."""
    picture_ = source(folder, *SIZES[1])
    for suffix in ("jpg", "png", "webp"):
        plain, exif = folder / f"plain.{suffix}", folder / "exif"
        run(CONVERT, picture_, plain)
        for orientation in range(1, 10):
            out = folder / f"turned-{orientation}.{suffix}"
            if suffix == "webp":  # exiftool does not write WebP in all versions
                tags = Image.Exif()
                tags[274] = orientation
                exif.write_bytes(tags.tobytes())
                run("webpmux", "-set", "exif", exif, plain, "-o", out)
            else:
                run("exiftool", "-q", "-n", f"-Orientation={orientation}", plain, "-o", out)
            yield Case(f"exiftool {orientation} {suffix}", out.read_bytes())
            again = folder / f"again-{orientation}.{suffix}"
            run(CONVERT, out, again)  # ImageMagick has its own form of a profile in PNG
            yield Case(f"convert {orientation} {suffix}", again.read_bytes())
