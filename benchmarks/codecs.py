"""Measure how fast libraries decode and encode JPEG, and whether the pixels are Pillow's.

Detectron2 reads with Pillow and so did the training: another decoder may be taken only if it gives
the same pixels. simplejpeg is taken for grey and colour, since it tells what libjpeg warns of;
CMYK, on which it differs, stays Pillow's.
"""

import io
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from benchmarks.measure import alternate, ratio
from benchmarks.report import Figure, Result
from benchmarks.standard import CONFIG, scene
from pipeline.engines.portable.config import read_resize
from pipeline.image.decode import decode
from pipeline.image.draw import encode

Picture = NDArray[np.uint8]
Decoder = Callable[[bytes], Picture]

SIZES = ((1280, 960), (641, 479), (37, 53), (9, 17))
SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
ROUNDS = 40


def run() -> Result:
    image = scene(1)
    same = {name: _sameness(decoder, image) for name, decoder in decoders().items()}
    decoding = {
        f"{width}x{height}": _compare(
            {
                name: lambda decoder=decoder, data=data: decoder(data)
                for name, decoder in decoders().items()
            }
        )
        for width, height in ((1280, 960), (640, 480))
        for data in (_file(image, width, height),)
    }
    resize, data = read_resize(CONFIG), _file(image, 1280, 960)
    pixels = decode(data).pixels
    steps = _compare({"decode": lambda: decode(data), "resize": lambda: resize(pixels)})
    encoding = _compare(encoders(image))
    figures = [
        Figure(
            f"decode JPEG of {size} with OpenCV, to Pillow's time",
            "Pillow's pixels",
            f"{decoding[size]['OpenCV']['ratio']}, {same['OpenCV']}",
            None,
        )
        for size in decoding
    ]
    details = {"sameness": same, "decoding": decoding, "encoding": encoding, "steps": steps}
    return Result("codecs", figures, details)


def decoders() -> dict[str, Decoder]:
    """Return decoders to (H, W, 3) uint8 BGR, not turned upright."""
    return {"Pillow": _pillow, "OpenCV": _opencv, "simplejpeg": _simplejpeg}


def encoders(image: Picture) -> dict[str, Callable[[], object]]:
    """Return encoders at quality 90 with halved colours, from BGR."""
    return {
        "OpenCV": lambda: encode(image, "jpeg"),
        "Pillow": lambda: _save(image, quality=90),
        "simplejpeg": lambda: simplejpeg.encode_jpeg(image, 90, "BGR", "420"),
    }


def kinds(image: Picture) -> dict[str, bytes]:
    """Return JPEG files of every kind that Pillow writes, in even, odd and tiny sizes."""
    files: dict[str, bytes] = {}
    for width, height in SIZES:
        small = cv2.resize(image, (width, height))
        size = f"{width}x{height}"
        for name, sampling in SAMPLINGS.items():
            for quality in (30, 90):
                plain = {"quality": quality, "subsampling": sampling}
                files[f"{name} q{quality} {size}"] = _save(small, **plain)
                files[f"{name} q{quality} progressive {size}"] = _save(
                    small, progressive=True, **plain
                )
                files[f"{name} q{quality} restart {size}"] = _save(
                    small, restart_marker_blocks=3, **plain
                )
        files[f"grey {size}"] = _save(small, "L")
        files[f"CMYK {size}"] = _save(small, "CMYK")
        files[f"RGB {size}"] = _save(small, keep_rgb=True)
    return files


def _sameness(decoder: Decoder, image: Picture) -> str:
    """Return how many files give Pillow's pixels, and the kinds of those that do not."""
    files = kinds(image)
    other = [name for name, data in files.items() if not _same(decoder, data)]
    text = f"{len(files) - len(other)} of {len(files)} files"
    return text if not other else f"{text}; not {', '.join(other)}"


def _same(decoder: Decoder, data: bytes) -> bool:
    try:
        return np.array_equal(decoder(data), _pillow(data))
    except ValueError:  # simplejpeg decodes no CMYK
        return False


def _compare(contenders: dict[str, Callable[[], object]]) -> dict[str, dict[str, str]]:
    """Return milliseconds, and the ratio to the first."""
    seconds = alternate(contenders, ROUNDS, warm_up=3)
    first = next(iter(seconds.values()))
    return {
        name: {
            "ms": f"{1000 * float(np.median(taken)):.2f}",
            "ratio": str(ratio(taken, first)),
        }
        for name, taken in seconds.items()
    }


def _pillow(data: bytes) -> Picture:
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        rgb = image if image.mode == "RGB" else image.convert("RGB")
        bgr = np.frombuffer(bytearray(rgb.tobytes("raw", "BGR")), dtype=np.uint8)
        return bgr.reshape(rgb.height, rgb.width, 3)


def _opencv(data: bytes) -> Picture:
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    return cv2.imdecode(np.frombuffer(data, np.uint8), flags).astype(np.uint8, copy=False)


def _simplejpeg(data: bytes) -> Picture:
    pixels: Picture = simplejpeg.decode_jpeg(data, "BGR")
    return pixels


def _file(image: Picture, width: int, height: int) -> bytes:
    return _save(cv2.resize(image, (width, height)), quality=92)


def _save(image: Picture, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    rgb = np.ascontiguousarray(image[:, :, ::-1])
    Image.fromarray(rgb).convert(mode).save(file, "JPEG", **options)
    return file.getvalue()
