"""Detectron2's reading of an image file, whose steps these are (`detection_utils.read_image`).

It runs in a process of its own, since the product changes how Pillow reads TIFF.
"""

import io
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context

import numpy as np
from PIL import Image

_METHODS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(data: bytes) -> np.ndarray:
    """Return `read_image(path, "BGR")`: (H, W, 3) uint8. Raise what Pillow raises."""
    return _process().submit(_read, data).result()


@cache
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _read(data: bytes) -> np.ndarray:
    assert "pipeline" not in sys.modules
    image: Image.Image = Image.open(io.BytesIO(data))
    try:
        exif = image.getexif()
    except Exception:  # noqa: BLE001 - as Detectron2 does, whatever Pillow raises
        exif = Image.Exif()
    method = _METHODS.get(exif.get(274))
    if method is not None:
        image = image.transpose(method)
    return np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1])
