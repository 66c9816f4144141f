"""Measure decoding: what its own process costs an ordinary image, and the worst accepted files.

Each of the worst files is decoded by a fresh decoder process, within the limits of the profiles.
Processor time and memory (the process's peak, with the shared picture) are the kernel's.
"""

import io
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks.measure import Spread, alternate
from benchmarks.report import NO_TARGET, Figure, Result
from benchmarks.standard import scene
from pipeline.errors import ImageError
from pipeline.image.decode import decode
from pipeline.image.decoder_pool import DecoderPool
from pipeline.image.limits import DEFAULT_LIMITS

ROUNDS = 200
WANTED_MS = 1.0
SIDE = 7071  # squared, the most pixels that are accepted


def run() -> Result:
    extra = _extra()
    worst = {name: _cost(make()) for name, make in worst_files()}
    figures = [
        Figure(
            "a 1280x960 JPEG in a process of its own, beyond in-process",
            f"<= {WANTED_MS:g} ms",
            f"{extra} ms",
            extra.median <= WANTED_MS,
        ),
        *(_figure(name, cost) for name, cost in worst.items()),
    ]
    return Result("decode", figures, {"extra_ms": str(extra), "worst": worst})


def encoded_scene() -> bytes:
    """Return a scene as a JPEG of 1280x960 pixels."""
    return _save(Image.fromarray(scene(1)[:, :, ::-1]).resize((1280, 960)), "JPEG", quality=92)


def _extra() -> Spread:
    data = encoded_scene()
    pool = DecoderPool(1, DEFAULT_LIMITS)
    seconds = alternate(
        {"in process": lambda: decode(data), "pool": lambda: pool.decode(data)}, ROUNDS, warm_up=20
    )
    pool.close()
    pairs = zip(seconds["pool"], seconds["in process"], strict=True)
    return Spread.of([1000 * (a - b) for a, b in pairs])


def _cost(data: bytes) -> dict[str, float | str]:
    """Return the bytes, processor seconds and peak MiB of one file, and how it ended."""
    pool = DecoderPool(1, DEFAULT_LIMITS)
    process = psutil.Process(_only_process())
    before = sum(process.cpu_times()[:2])
    try:
        decoded = pool.decode(data)
        ended = f"{decoded.info.width}x{decoded.info.height}"
    except ImageError as error:
        ended = str(error)
    assert process.is_running(), "a file that ends its decoder has no figures to report"
    spent = sum(process.cpu_times()[:2]) - before
    status = Path(f"/proc/{process.pid}/status").read_text()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    pool.close()
    assert peak is not None, "Linux tells the peak of a process"
    return {
        "bytes": len(data),
        "cpu_s": round(spent, 2),
        "peak_mb": int(peak[1]) // 1024,
        "ended": ended,
    }


def _only_process() -> int:
    (child,) = (
        child
        for child in psutil.Process().children()
        if "pipeline.image.decoder_process" in child.cmdline()
    )
    return int(child.pid)


def _figure(name: str, cost: dict[str, float | str]) -> Figure:
    measured = f"{cost['cpu_s']} s, {cost['peak_mb']} MB, {cost['bytes']} bytes: {cost['ended']}"
    return Figure(f"worst: {name}", NO_TARGET, measured, None)


def worst_files() -> Iterator[tuple[str, Callable[[], bytes]]]:
    yield "JPEG, baseline 4:4:4", lambda: _save(_flat(), "JPEG", subsampling=0)
    yield "JPEG, progressive 4:4:4", lambda: _save(_flat(), "JPEG", subsampling=0, progressive=True)
    yield "JPEG, progressive, noise", _noisy_jpeg
    yield (
        "JPEG, progressive CMYK, turned",
        lambda: _save(_flat("CMYK"), "JPEG", progressive=True, exif=_turned()),
    )
    yield "JPEG, scans to the bound", _many_scans
    yield "JPEG, Exif of 10,000 tags", _many_tags
    yield "PNG, interlaced 16-bit RGBA, turned", _interlaced_png
    yield "PNG, 16-bit grey", lambda: _save(Image.new("I;16", (SIDE, SIDE)), "PNG")
    yield "PNG, 64 texts of 1 MiB", _texts
    yield "PNG, 65,000 chunks", lambda: _png(100, 100, 8, 2, chunks=65_000)
    for compression in ("tiff_lzw", "tiff_adobe_deflate"):
        yield (
            f"TIFF, {compression}, RGBA, turned",
            lambda compression=compression: _save(
                _flat("RGBA"), "TIFF", compression=compression, tiffinfo={274: 6}
            ),
        )
    yield (
        "TIFF, JPEG, turned",
        lambda: _save(_flat(), "TIFF", compression="jpeg", quality=75, tiffinfo={274: 6}),
    )
    yield "TIFF, CMYK", lambda: _save(_flat("CMYK"), "TIFF", compression="tiff_adobe_deflate")
    yield "WebP, lossless, one colour", lambda: _save(_flat(), "WEBP", lossless=True)
    yield "WebP, lossless, noise, turned", _noisy_webp
    yield "WebP, lossy", lambda: _save(_flat(), "WEBP")
    yield "BMP, 1 bit", lambda: _save(_flat("1"), "BMP")
    yield "BMP, 24 bits", lambda: _save(Image.new("RGB", (3300, 3300)), "BMP")


def _flat(mode: str = "RGB") -> Image.Image:
    return Image.new(mode, (SIDE, SIDE), 1 if mode == "1" else (9, 99, 199, 50)[: len(mode)])


def _noise(side: int) -> Image.Image:
    values = np.random.default_rng(1).integers(0, 256, (side, side, 3)).astype(np.uint8)
    return Image.fromarray(values)


def _noisy_jpeg() -> bytes:
    return _save(_noise(SIDE), "JPEG", quality=20, progressive=True)


def _noisy_webp() -> bytes:
    return _save(_noise(3200), "WEBP", lossless=True, method=0, quality=0, exif=_turned())


def _many_scans() -> bytes:
    """Return the ordinary script of 14 component scans, and ten more passes over one component."""
    data = _save(_flat(), "JPEG", progressive=True, subsampling=0)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * 10 + data[-2:]


def _many_tags() -> bytes:
    count, size = 10_000, 60_000
    entries = b"".join(struct.pack(">HHII", 1000 + n % 60_000, 2, size, 8) for n in range(count))
    block = b"MM\0*\0\0\0\x08" + struct.pack(">H", count) + entries + bytes(size)
    parts = [block[at : at + 65_000] for at in range(0, len(block), 65_000)]
    segments = (
        b"\xff\xe1" + struct.pack(">H", len(part) + 8) + b"Exif\0\0" + part for part in parts
    )
    data = _save(Image.new("RGB", (100, 100)), "JPEG")
    return data[:2] + b"".join(segments) + data[2:]


def _interlaced_png() -> bytes:
    return _png(SIDE, SIDE, 16, 6, interlaced=1, orientation=6)


def _texts() -> bytes:
    text = b"k\0\0" + zlib.compress(bytes(1024 * 1024 - 10))
    return _png(100, 100, 8, 2, extra=[(b"zTXt", text)] * 64)


def _png(
    width: int,
    height: int,
    bits: int,
    colours: int,
    interlaced: int = 0,
    orientation: int = 1,
    chunks: int = 1,
    extra: list[tuple[bytes, bytes]] | None = None,
) -> bytes:
    """Return a PNG of zeros."""
    samples = {0: 1, 2: 3, 6: 4}[colours]
    rows = 2 * height + 8  # more than the passes of an interlaced picture have
    pixels = zlib.compress(bytes(rows * (1 + width * samples * bits // 8)) if chunks == 1 else b"")
    if chunks > 1 or not interlaced:
        pixels = zlib.compress(bytes(height * (1 + width * samples * bits // 8)))
    header = struct.pack(">IIBBBBB", width, height, bits, colours, 0, 0, interlaced)
    written = [(b"IHDR", header), (b"eXIf", _exif_block(orientation)), *(extra or [])]
    written += [(b"tEXt", b"k\0v")] * (chunks - 1)
    written += [(b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
        for kind, content in written
    )


def _exif_block(orientation: int) -> bytes:
    entry = struct.pack(">HHIHH", 274, 3, 1, orientation, 0)
    return b"MM\0*\0\0\0\x08\0\x01" + entry + bytes(4)


def _turned() -> bytes:
    return b"Exif\0\0" + _exif_block(6)


def _save(image: Image.Image, format_: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, format_, **options)
    return stream.getvalue()
