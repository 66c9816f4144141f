"""Detectron2's reading of an image file, whose steps these are (`detection_utils.read_image`)."""

import io

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
    """Return `read_image(path, "BGR")`: (H, W, 3) uint8."""
    image: Image.Image = Image.open(io.BytesIO(data))
    try:
        exif = image.getexif()
    except Exception:  # noqa: BLE001 - as Detectron2 does, whatever Pillow raises
        exif = Image.Exif()
    method = _METHODS.get(exif.get(274))
    if method is not None:
        image = image.transpose(method)
    return np.asarray(image.convert("RGB"))[:, :, ::-1]
